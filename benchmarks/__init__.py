"""Benchmarks: the product beside its baselines, in one run, on servers of their own. `python -m benchmarks --help`.

Numbers of different runs or machines say little; each table compares what was measured in turns on one machine.
"""
