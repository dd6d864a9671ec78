"""Which partition a key goes to: the rule of Kafka's own clients, which every sender follows by itself."""

from collections.abc import Sequence

from aiokafka.partitioner import DefaultPartitioner

_partitioner = DefaultPartitioner()


def partition_of(key: bytes, partitions: Sequence[int]) -> int:
    """The partition of a topic with these partitions, in their order."""
    return int(_partitioner(key, list(partitions), list(partitions)))
