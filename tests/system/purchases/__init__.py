"""Purchases while processes are killed: what buyers do, what is killed, and who owes whom afterwards."""
