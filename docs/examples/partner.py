"""A partner site: it writes ticket messages to the sales log and shows what is there.

    python docs/examples/partner.py send TICKET_PENDING --match 24 --category 2 --quantity 2 --sale SALE_ID
    python docs/examples/partner.py log

It knows nothing of Matchday, only what docs/federation.md says. KAFKA_BOOTSTRAP_SERVERS and TOPIC_TICKET_SALES name
another broker or topic; where a site's broker is, `make status` shows.
"""

import argparse
import asyncio
import json
import os
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError

BROKER = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:19092")
TOPIC = os.environ.get("TOPIC_TICKET_SALES", "fifa-world-cup-2022-ticket-sales-dev")
PRICES = {1: 75, 2: 125, 3: 195}


async def send(wish: argparse.Namespace) -> None:
    """Writes one message and waits until the log has it."""
    tickets = {"category": wish.category, "quantity": wish.quantity, "price": PRICES[wish.category]}
    message = {"meta": {"action": wish.action}, "body": {"matchNumber": wish.match, "tickets": tickets}}
    headers = [("clientId", wish.site.encode()), ("saleId", wish.sale.encode())]
    key = f"{wish.match}-{wish.category}".encode()
    async with AIOKafkaProducer(bootstrap_servers=BROKER, enable_idempotence=True, acks="all") as producer:
        placed = await producer.send_and_wait(TOPIC, json.dumps(message).encode(), key, headers=headers)
    sys.stdout.write(f"offset {placed.offset}\n")


async def show_log() -> None:
    """Reads the log from its beginning to its present end."""
    async with AIOKafkaConsumer(TOPIC, bootstrap_servers=BROKER, auto_offset_reset="earliest") as consumer:
        place = TopicPartition(TOPIC, 0)
        end = (await consumer.end_offsets([place]))[place]
        while await consumer.position(place) < end:
            record = await consumer.getone()
            headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
            value = (record.value or b"").decode(errors="replace")
            who = f"{headers.get('clientId', 'unknown')} sale {headers.get('saleId', 'none')}"
            sys.stdout.write(f"{record.offset} {who}\n  {value}\n")


def arguments() -> argparse.Namespace:
    """What is asked for at the command line."""
    parser = argparse.ArgumentParser(description="A partner site.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("log")
    sending = commands.add_parser("send")
    sending.add_argument("action", choices=["TICKET_PENDING", "TICKET_RESERVED", "TICKET_CANCELLED"])
    sending.add_argument("--site", default="kiosk")
    sending.add_argument("--sale", required=True)
    for name in ("match", "category", "quantity"):
        sending.add_argument(f"--{name}", type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    asked = arguments()
    try:
        asyncio.run(send(asked) if asked.command == "send" else show_log())
    except KafkaConnectionError:
        sys.exit(f"no broker at {BROKER}: set KAFKA_BOOTSTRAP_SERVERS to where it is (`make status` shows it)")
