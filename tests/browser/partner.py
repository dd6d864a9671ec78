"""Another site of the federation, with no code of ours: it puts messages into the log, and that is all."""

import asyncio
import json
import threading

from aiokafka import AIOKafkaProducer


def send(bootstrap_servers: str, topic: str, action: str, match: int, category: int, tickets: int) -> None:
    """So many tickets of one category, two a message."""

    async def produce() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all")
        await producer.start()
        try:
            for left in range(tickets, 0, -2):
                body = {
                    "meta": {"action": action},
                    "body": {
                        "matchNumber": match,
                        "tickets": {"category": category, "quantity": min(2, left), "price": 1},
                    },
                }
                headers = [("clientId", b"a-partner")]
                await producer.send(topic, json.dumps(body).encode(), headers=headers)
            await producer.flush()
        finally:
            await producer.stop()

    # In a thread: Playwright keeps the event loop of the tests' own.
    thread = threading.Thread(target=lambda: asyncio.run(produce()))
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
