"""security, port 3050: will own the verdict on every request: limits, bots, block lists, fraud. Nothing is built yet."""
