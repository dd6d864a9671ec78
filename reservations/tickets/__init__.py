"""Tickets: issued with the sale, signed, printed, mailed, and admitted once at the gate."""
