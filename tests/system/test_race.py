"""The race: three sites, one pool of 20 tickets, 200 buyers at once, and processes that die by kill -9 all the while.

RACE_SEED=7 runs one seed (again), RACE_SEEDS=20 as many. The seed decides what buyers want and what dies when.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator

import pytest

from matchday.run import Run
from matchday.servers import Kafka, Postgres, Valkey
from tests.shared_sites import Ground, common_ground
from tests.sites import RunningSite
from tests.system.race import audit
from tests.system.race.buyers import Told, all_buy, make_plans
from tests.system.race.faults import Killer, make_kills

NAMES = ("atlas", "borealis", "cygnus")
PROCESSES = ("shop-consumer", "reservations", "reservations-relay", "reservations-worker")
BUYERS = 200
CAPACITY = 20
SEEDS = (
    [int(os.environ["RACE_SEED"])] if "RACE_SEED" in os.environ else range(1, 1 + int(os.environ.get("RACE_SEEDS", 2)))
)


@pytest.fixture(scope="module")
def ground(_postgres: Postgres, _valkey: Valkey, _kafka: Kafka, server_run: Run, _template: str) -> Iterator[Ground]:
    with common_ground(_postgres, _valkey, _kafka, server_run, _template) as ground:
        yield ground


@pytest.fixture(scope="module")
def sites(ground: Ground) -> list[RunningSite]:
    """Holds last so shortly that buyers who walk away give way to others within the race."""
    settings = {"HOLD_SECONDS": "5", "WORKER_POLL_SECONDS": "0.2"}
    made = [ground.make_site(name, only=PROCESSES, **settings) for name in NAMES]
    for site in made:
        site.start(wait=False)
    for site in made:
        site.wait_ready()
    return made


@pytest.fixture(scope="module")
def pools() -> Iterator[tuple[int, int]]:
    """Each race has a pool that nobody has touched."""
    return iter([(match, category) for match in range(1, 65) for category in (1, 2, 3)])


@pytest.mark.parametrize("seed", SEEDS)
def test_three_sites_never_sell_a_ticket_twice_whatever_is_killed_meanwhile(
    ground: Ground, sites: list[RunningSite], pools: Iterator[tuple[int, int]], seed: int
) -> None:
    pool = next(pools)
    killer = Killer(sites, make_kills(seed, len(sites)))
    print(f"RACE_SEED={seed}, pool {pool}")
    told = asyncio.run(all_buy(sites, pool, make_plans(seed, BUYERS, len(sites)), killer.run))
    print("\n".join(["killed:", *killer.done]))
    log = audit.drain(sites, ground.kafka.bootstrap_servers, ground.topics.sales)
    _tell(told)

    entries = [entry for entry in log if entry.pool == pool]
    books = [audit.read_books(site, pool) for site in sites]
    sold = audit.check_log(entries, CAPACITY)
    assert 0 < sold <= CAPACITY
    assert sum(book.sold() for book in books) == sold
    verdicts = audit.replay(entries, CAPACITY)
    for book in books:
        audit.check_reservations(book, verdicts)
        _promises_are_kept(book, [one for one in told if sites[one.plan.site] is book.site])
        assert book.counters == books[0].counters
        assert book.counters[pool] == (0, sold, 0, sold)
        audit.verify(book.site)
    audit.check_messages(books, entries)


def _promises_are_kept(book: audit.Books, told: list[Told]) -> None:
    """What a buyer was told for good is so, and nobody has a reservation that nobody asked for."""
    keys = {key for one in told for key in one.keys}
    for one in told:
        for promise in one.promises:
            state = book.reservations[promise.reservation_id]["state"]
            assert (state == promise.status) == promise.kept, (one.plan, promise, state)
    made = [book.keys[key] for key in keys if key in book.keys]
    assert len(made) == len(set(made))
    # A buyer who was told that the log is out of reach has the key back; the worker may have ended the hold first.
    keyless = set(book.reservations) - set(made)
    assert {book.reservations[one]["state"] for one in keyless} <= {"cancelled", "expired", "lost"}


def _tell(told: list[Told]) -> None:
    promises = Counter(promise.status if promise.kept else "too late" for one in told for promise in one.promises)
    answers = Counter(answer for one in told for answer in one.answers)
    print(f"promised: {dict(promises)}\nanswers: {dict(answers)}")
