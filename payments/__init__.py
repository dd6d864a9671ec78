"""payments, port 3040: Stripe's PaymentIntents and webhooks, refunds, the ledger, reconciliation.

Speaks with Stripe (`gateway.py`) and with reservations: what was paid goes there through `shared.delivery`, and what
could not be kept comes back to be refunded. Its worker is a process of its own (`python -m payments.worker`).
"""
