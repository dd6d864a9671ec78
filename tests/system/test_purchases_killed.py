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
from tests.eventually import eventually
from tests.shared_sites import common_ground
from tests.sites import RunningSite
from tests.system.purchases import audit
from tests.system.purchases.buyers import Buyer, Plan, Visit, make_plans
from tests.system.purchases.strikes import STEPS, VICTIMS, Striker
from tests.system.test_two_sites import knows_the_matches

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
    """A site whose worker looks for what a crash left open every second or two, and that comes back soon."""
    monkeypatch.setattr(supervisor, "BACKOFF_SECONDS_MAX", 0.5)
    with common_ground(_postgres, _valkey, _kafka, server_run, _template) as ground:
        made = ground.make_site(
            "matchday", only=PROCESSES, HOLD_SECONDS=str(HOLD_SECONDS), WORKER_POLL_SECONDS="0.2",
            PAYMENTS_POLL_SECONDS="0.2", PAYMENT_GRACE_SECONDS="8", RECONCILE_SECONDS="2", RATE_SCALE="1000",
            STRIPE_STANDIN_REFUND_SECONDS="0.2",
        )  # fmt: skip
        made.start()
        eventually(lambda: knows_the_matches(made), 60)
        yield made


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
    eventually(lambda: not audit.unfinished(site) or _fail(site), REST_SECONDS, "everything comes to rest")

    ended = audit.check(site, site.secret("STRIPE_SECRET_KEY"))
    print("ended:", dict(ended))
    _promises_are_kept(site, visits)
    if RUNS >= 200:
        assert set(striker.done) == {(victim, step) for victim in VICTIMS for step in STEPS}
        assert ended["reserved"] > RUNS / 4
        assert ended["expired"] > 0


def _fail(site: RunningSite) -> bool:
    raise AssertionError(audit.unfinished(site))


def _promises_are_kept(site: RunningSite, visits: list[Visit]) -> None:
    """Who was told that the tickets are his has them."""
    made = audit.reservations(site)
    promised = {"verdict: reserved", "one call: Ticket Purchase Successful"}
    sold = {visit.reservation_id for visit in visits if promised & set(visit.told)}
    assert sold <= {reservation_id for reservation_id, row in made.items() if row["state"] == "reserved"}
