"""reservations, port 3020: holds, the log's verdict on them, expiry, cancellation.

Sends TICKET_PENDING, TICKET_RESERVED and TICKET_CANCELLED through the outbox; its relay and its worker are processes
of their own (`python -m reservations.relay`, `python -m reservations.worker`).
"""
