"""The waiting room of a match: when more buyers come than the site can serve, they are let in one after the other."""
