"""A sales log as partners write it: holds, and a while later their confirmation or cancellation."""

import heapq
import random
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.bed import Bed, all_pools
from shared.kafka.publisher import Outgoing, Publisher
from shared.wire import pool_key
from tests.resources import Topics

PRICES = {1: 75, 2: 125, 3: 195}
CONFIRMED_SHARE = 0.7
DELAY_RECORDS = (20, 4000)  # a sale ends after so many records of other buyers
CLIENTS = ("atlas", "blue", "cedar")
CHUNK = 20_000
SEED = 2022


@dataclass(frozen=True, slots=True)
class Sale:
    """One partner's sale in one pool."""

    pool: tuple[int, int]
    quantity: int
    client_id: str
    sale_id: str


@dataclass(frozen=True, slots=True)
class Log:
    """Records in their order, and the tickets held and sold at their end."""

    records: list[Outgoing]
    held: int
    sold: int


def sales_log(
    topic: str, count: int, *, with_sale_ids: bool, pools: Sequence[tuple[int, int]] = (), seed: int = SEED
) -> Log:
    """`count` records of these pools, or of all; the same for the same arguments."""
    tickets: Counter[str] = Counter()
    records = []
    for action, sale in _actions(count, pools or all_pools(), random.Random(seed)):
        tickets[action] += sale.quantity
        records.append(_record(topic, action, sale, with_sale_ids))
    held = tickets["PENDING"] - tickets["RESERVED"] - tickets["CANCELLED"]
    return Log(records, held, tickets["RESERVED"])


def _actions(count: int, pools: Sequence[tuple[int, int]], generator: random.Random) -> Iterator[tuple[str, Sale]]:
    """What happens, one after the other: ends that are due first, else a new sale."""
    ends: list[tuple[int, int, str, Sale]] = []
    for number in range(count):
        if ends and ends[0][0] <= number:
            _, _, action, sale = heapq.heappop(ends)
            yield action, sale
            continue
        sale = _sale(generator, pools)
        action = "RESERVED" if generator.random() < CONFIRMED_SHARE else "CANCELLED"
        heapq.heappush(ends, (number + generator.randint(*DELAY_RECORDS), number, action, sale))
        yield "PENDING", sale


def _sale(generator: random.Random, pools: Sequence[tuple[int, int]]) -> Sale:
    sale_id = str(uuid.UUID(int=generator.getrandbits(128), version=4))
    return Sale(generator.choice(pools), generator.randint(1, 2), generator.choice(CLIENTS), sale_id)


def _record(topic: str, action: str, sale: Sale, with_sale_ids: bool) -> Outgoing:
    match, category = sale.pool
    value = (
        f'{{"meta":{{"action":"TICKET_{action}"}},"body":{{"matchNumber":{match},"tickets":'
        f'{{"category":{category},"quantity":{sale.quantity},"price":{PRICES[category]}}}}}}}'
    )
    ids = {"clientId": sale.client_id, "saleId": sale.sale_id} if with_sale_ids else {}
    headers = [(name, text.encode()) for name, text in ids.items()]
    return Outgoing(topic, pool_key(match, category), value.encode(), headers)


def publish(bed: Bed, topics: Topics, log: Log) -> None:
    """Puts all records on the topic, in order."""
    publisher = Publisher(bed.kafka_settings(topics), guard=lambda: None)
    publisher.start()
    try:
        for first in range(0, len(log.records), CHUNK):
            publisher.publish(log.records[first : first + CHUNK])
    finally:
        publisher.close()
