"""Baseline of the drain: aiokafka and orjson, nothing else. `python -m benchmarks.bare_loop TOPIC END`."""

import asyncio
import json
import os
import sys
import time

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.kafka.client import FETCH_BYTES_MAX
from shop_consumer.settings import ConsumerSettings

RECORDS_MAX = ConsumerSettings.model_fields["consumer_batch_max"].default


async def drain(topic: str, end: int) -> tuple[float, float]:
    """Seconds, and of these CPU seconds, to read and decode the records before `end`, once connected."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        enable_auto_commit=False,
        max_partition_fetch_bytes=FETCH_BYTES_MAX,
    )
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        consumer.seek(partition, 0)
        begun, cpu = time.perf_counter(), time.process_time()
        position = 0
        while position < end:
            for records in (await consumer.getmany(timeout_ms=500, max_records=RECORDS_MAX)).values():
                for record in records:
                    orjson.loads(record.value)
                    position = record.offset + 1
        return time.perf_counter() - begun, time.process_time() - cpu
    finally:
        await consumer.stop()


def main() -> None:
    seconds, cpu_seconds = asyncio.run(drain(sys.argv[1], int(sys.argv[2])))
    json.dump({"seconds": seconds, "cpuSeconds": cpu_seconds}, sys.stdout)


if __name__ == "__main__":
    main()
