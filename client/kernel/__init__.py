"""What all pages share: who visits, in which language, with which form; how pages are declared, drawn and refused."""
