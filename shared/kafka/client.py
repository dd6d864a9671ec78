"""What every Kafka client of a process shares: how to reach the broker, and a loop to run in."""

import asyncio
import ssl
import threading
import time
import weakref
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.errors import BrokerUnavailable
from shared.settings import KafkaSettings

T = TypeVar("T")
REQUEST_MS = 5_000
FETCH_BYTES_MAX = 4 * 1024 * 1024


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """How every client of this process reaches the broker."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "security_protocol": settings.kafka_security_protocol,
        "client_id": settings.client_id,
    }
    if settings.kafka_security_protocol.startswith("SASL_"):
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        options["sasl_plain_username"] = settings.kafka_username
        options["sasl_plain_password"] = settings.kafka_password.get_secret_value() if settings.kafka_password else None
    if settings.kafka_security_protocol.endswith("SSL"):
        options["ssl_context"] = ssl.create_default_context(
            cafile=str(settings.kafka_ca_file) if settings.kafka_ca_file else None
        )
    return options


class LoopThread:
    """An event loop in a thread of its own; `run` waits for a coroutine from any other thread."""

    def __init__(self, name: str) -> None:
        self.loop = _RememberingLoop()
        self._thread = threading.Thread(target=self.loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float) -> T:
        """The coroutine's result; `BrokerUnavailable` when Kafka fails or `timeout` seconds pass."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result(timeout)
        except (KafkaError, OSError, TimeoutError) as error:
            future.cancel()
            raise BrokerUnavailable(f"the broker is out of reach ({type(error).__name__})") from error

    def close(self) -> None:
        """Ends the loop and every connection that is still open in it."""
        self.loop.call_soon_threadsafe(self._end)
        self._thread.join(5)
        if not self._thread.is_alive():
            self.loop.close()

    def _end(self) -> None:
        # aiokafka does not wait for a connection that was refused, and TLS takes leave of the other side in many turns.
        for connection in list(self.loop.connections):
            connection.abort()
        self.loop.call_soon(self.loop.stop)  # after the turn in which the aborted ones close their sockets


class _RememberingLoop(asyncio.SelectorEventLoop):
    """Knows the connections that were made in it, as long as anything holds them."""

    def __init__(self) -> None:
        super().__init__()
        self.connections: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()

    async def create_connection(self, *arguments: Any, **options: Any) -> Any:
        transport, protocol = await super().create_connection(*arguments, **options)
        self.connections.add(transport)
        return transport, protocol


async def topic_partitions(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    """The topic's partitions as the broker knows them now; `BrokerUnavailable` when the topic does not exist."""
    client = consumer._client
    client.add_topic(topic)
    deadline = time.monotonic() + REQUEST_MS / 1000
    while not (partitions := consumer.partitions_for_topic(topic)):
        if time.monotonic() > deadline:
            raise BrokerUnavailable(f"topic {topic} does not exist")
        await client.force_metadata_update()
        await asyncio.sleep(0.05)
    return [TopicPartition(topic, partition) for partition in sorted(partitions)]
