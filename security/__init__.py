"""security, port 3050: will own the verdict on every request: limits, bots, blocks, fraud. Nothing is built yet."""
