"""Kafka at the edge: asyncio lives in this package, callers see blocking calls and whole batches.

Everything reads uncommitted: a record in the log counts for every partner, whatever became of its sender.
"""
