"""kill -9 of PostgreSQL, the broker and Redis in the middle of a sale: nobody owes anything, nothing is sold twice.

STORM_SEED=7 replays the moments, STORM_ROUNDS=10 makes it longer. Buyers come one after the other, with every
intention, until the last server is up again.
"""

import itertools
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from matchday import supervisor
from matchday.run import Run
from matchday.servers import Kafka, Postgres, Valkey
from tests.shared_sites import common_ground
from tests.sites import RunningSite
from tests.system.purchases import audit
from tests.system.purchases.buyers import Buyer, Plan, Visit, make_plans
from tests.system.purchases.storm import Storm
from tests.system.settled import wait_for_rest
from tests.system.strikes import Striker, start_site
from tests.system.test_purchases_killed import PROCESSES

SEED = int(os.environ.get("STORM_SEED", "1"))
ROUNDS = int(os.environ.get("STORM_ROUNDS", "2"))
BUYERS_AT_ONCE = 8
BUYERS_MIN = 40
HOLD_SECONDS = 30
REST_SECONDS = 180


@pytest.fixture
def site(
    _postgres: Postgres,
    _valkey: Valkey,
    _kafka: Kafka,
    server_run: Run,
    _template: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[RunningSite]:
    """What dies comes back soon."""
    monkeypatch.setattr(supervisor, "BACKOFF_SECONDS_MAX", 0.5)
    with common_ground(_postgres, _valkey, _kafka, server_run, _template) as ground:
        yield start_site(ground, PROCESSES, HOLD_SECONDS)


@pytest.mark.timeout(900)
def test_nobody_pays_without_a_ticket_or_twice_whatever_server_is_killed(
    site: RunningSite, postgres: Postgres, valkey: Valkey, kafka: Kafka
) -> None:
    print(f"STORM_SEED={SEED}")
    storm = Storm(site, [postgres, valkey, kafka], ROUNDS, SEED)
    plans = itertools.count()

    def come() -> list[Visit]:
        visits = []
        while (number := next(plans)) < BUYERS_MIN or not storm.is_over.is_set():
            visits.append(_visit(site, make_plan(number)))
        return visits

    storm.start()
    with ThreadPoolExecutor(BUYERS_AT_ONCE) as pool:
        coming = [pool.submit(come) for _ in range(BUYERS_AT_ONCE)]
        visits = [visit for buyers in coming for visit in buyers.result()]
    storm.join()
    site.wait_ready()
    print("killed:", dict(storm.killed), "\ntold:", Counter(word for visit in visits for word in visit.told))
    wait_for_rest(site, REST_SECONDS)

    ended = audit.check(site, site.secret("STRIPE_SECRET_KEY"))
    print(len(visits), "buyers, ended:", dict(ended))
    audit.promises_are_kept(site, visits)
    assert set(storm.killed.values()) == {ROUNDS}
    assert len(storm.killed) == 3
    assert ended["reserved"] > 0


def make_plan(number: int) -> Plan:
    """Each number has its own seed, as nobody knows how many buyers come."""
    (plan,) = make_plans(SEED * 1_000_000 + number, 1)
    return plan


def _visit(site: RunningSite, plan: Plan) -> Visit:
    return Buyer(site, plan, Striker(site, strikes=False), HOLD_SECONDS).go()
