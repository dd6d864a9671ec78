"""Synthetic buyers: a seeded model of who buys what, for training, tests and `make demo`.

What it makes is labelled wherever it goes: its sites have client ids that begin with `synthetic-`, and its site events
say `synthetic`. docs/analytics.md tells the model.
"""
