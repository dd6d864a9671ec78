"""A stand-in for Stripe, as a process of its own: `python -m matchday.stripe_standin`.

Services reach it through the official `stripe` library, as they would reach Stripe; none imports it. It knows what a
ticket shop needs: PaymentIntents, PaymentMethods of cards, charges, refunds, events, signed webhooks, idempotency keys,
the documented test cards and a page for 3-D Secure; docs/stripe-standin.md says what, and what it does not know. Below
`/standin` is what Stripe does not have: faults to order, and webhooks to hold back, mix up and send twice.
"""
