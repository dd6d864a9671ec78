"""The federation's two topics: one partition each, dated by the broker, kept for ever; and this site's own events."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from matchday.errors import RunnerError

TOPIC_SETTINGS = {"message.timestamp.type": "LogAppendTime", "retention.ms": "-1", "retention.bytes": "-1"}
REQUEST_TIMEOUT_MS = 15_000
DAY_MS = 86_400_000


@contextlib.asynccontextmanager
async def admin(client: Mapping[str, Any]) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client; `client` holds aiokafka's connection options, bootstrap_servers first of all."""
    connection = AIOKafkaAdminClient(request_timeout_ms=REQUEST_TIMEOUT_MS, **client)
    try:
        await connection.start()
        yield connection
    finally:
        await connection.close()


def kept_days(days: int) -> dict[str, str]:
    """Settings of a topic whose records are deleted after so many days; 0: never."""
    return {"retention.ms": str(days * DAY_MS) if days else "-1"}


async def create_topics(
    client: Mapping[str, Any], names: Sequence[str], settings: Mapping[str, Mapping[str, str]] | None = None
) -> list[str]:
    """Create those that do not exist; returns their names. Topics that exist are left as they are.

    `settings` has what is different for some of them.
    """
    async with admin(client) as connection:
        existing = set(await connection.list_topics())
        missing = [name for name in dict.fromkeys(names) if name not in existing]
        if not missing:
            return []
        own = settings or {}
        wanted = [NewTopic(name, 1, 1, topic_configs={**TOPIC_SETTINGS, **own.get(name, {})}) for name in missing]
        answer = await connection.create_topics(wanted, timeout_ms=REQUEST_TIMEOUT_MS)
    for name, code, *rest in answer.topic_errors:
        if code and for_code(code) is not TopicAlreadyExistsError:
            raise RunnerError(f"the broker does not create topic {name}: {rest[0] if rest else for_code(code)}")
    return missing


async def delete_topics(client: Mapping[str, Any], names: Sequence[str]) -> None:
    async with admin(client) as connection:
        await connection.delete_topics(list(names), timeout_ms=REQUEST_TIMEOUT_MS)


async def is_empty(client: Mapping[str, Any], topic: str) -> bool:
    """Whether nothing was ever written to the topic's first partition."""
    consumer = AIOKafkaConsumer(request_timeout_ms=REQUEST_TIMEOUT_MS, **client)
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        ends = await consumer.end_offsets([partition])
        return int(ends[partition]) == 0
    finally:
        await consumer.stop()
