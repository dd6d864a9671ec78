"""Real servers from wheels and pinned jars: PostgreSQL, Valkey (speaks Redis) and Kafka.

The same classes serve `make up`, the tests and the benchmarks.
"""

from matchday.servers.base import Server
from matchday.servers.kafka import Kafka
from matchday.servers.postgres import Postgres
from matchday.servers.valkey import Valkey

__all__ = ["Kafka", "Postgres", "Server", "Valkey"]
