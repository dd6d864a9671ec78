"""payments, port 3040: will own Stripe's intents, webhooks, refunds and reconciliation. Nothing is built yet."""
