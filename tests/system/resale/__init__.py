"""Whole resales while processes are killed: what traders do, what is killed, and who has what afterwards."""
