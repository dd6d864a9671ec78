"""kill -9 of payments, reservations, their workers and the stand-in, at each step of a purchase: nobody owes anything.

PURCHASE_SEED=7 replays one set of runs, PURCHASE_RUNS=1000 makes it longer. A run is one purchase with one kill: each
process is killed at each step, at a moment that the seed chooses, while others buy, too.
"""

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
from tests.system.purchases.buyers import STEPS, VICTIMS, Buyer, Plan, Visit, make_plans
from tests.system.settled import wait_for_rest
from tests.system.strikes import Striker, start_site

PROCESSES = (
    "shop", "shop-consumer", "reservations", "reservations-relay", "reservations-worker", "payments", "payments-worker",
    "stripe-standin",
)  # fmt: skip
SEED = int(os.environ.get("PURCHASE_SEED", "1"))
RUNS = int(os.environ.get("PURCHASE_RUNS", "200"))
BUYERS_AT_ONCE = 25
HOLD_SECONDS = 20
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


@pytest.mark.timeout(1800)
def test_nobody_pays_without_a_ticket_or_twice_whatever_is_killed(site: RunningSite) -> None:
    striker = Striker(site)
    print(f"PURCHASE_SEED={SEED}")

    def buy(plan: Plan) -> Visit:
        return Buyer(site, plan, striker, HOLD_SECONDS).go()

    with ThreadPoolExecutor(BUYERS_AT_ONCE) as pool:
        visits = list(pool.map(buy, make_plans(SEED, RUNS)))
    striker.finish()
    site.wait_ready()
    print("killed:", dict(striker.done), "\ntold:", Counter(word for visit in visits for word in visit.told))
    wait_for_rest(site, REST_SECONDS)

    ended = audit.check(site, site.secret("STRIPE_SECRET_KEY"))
    print("ended:", dict(ended))
    audit.promises_are_kept(site, visits)
    if RUNS >= 200:
        assert set(striker.done) == {(victim, step) for victim in VICTIMS for step in STEPS}
        assert ended["reserved"] > RUNS / 4
        assert ended["expired"] > 0
