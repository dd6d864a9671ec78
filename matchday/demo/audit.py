"""The audit: the sites against each other, against the log recounted by another hand, and against what Stripe took.

Sites come to rest first: holds that somebody walked away from expire, messages arrive, payments are told.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import httpx
import psycopg
import stripe

from analytics.generator.admission import Admission, Pool
from analytics.generator.topics import LogFollower
from matchday.demo.shoppers import Told
from matchday.demo.sites import HOLD_SECONDS, DemoSite
from shared.masterlist import MatchEntry
from shared.wire import Action, TicketMessage

REST_SECONDS = HOLD_SECONDS + 60.0
LOOK_SECONDS = 0.5
ASK_SECONDS = 30.0
UNBALANCED = (
    "SELECT count(*) FROM (SELECT FROM payments.ledger_entries"
    " GROUP BY transaction_id, currency HAVING sum(amount) <> 0) x"
)

Counted = dict[Pool, tuple[int, int]]  # pending and reserved, in the specification's words


@dataclass(frozen=True)
class Check:
    """One statement, and what speaks against it: nothing when it holds."""

    statement: str
    against: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        return not self.against


@dataclass
class Report:
    """What was found; `sold` are tickets by who sold them."""

    checks: list[Check] = field(default_factory=list)
    sold: Counter[str] = field(default_factory=Counter)
    records: int = 0
    kept: dict[str, int] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        return bool(self.checks) and all(check.holds for check in self.checks)


class _Ledger(LogFollower):
    """Reads the log for the audit: besides the verdicts, the tickets and the money of each sender."""

    def __init__(self, site: DemoSite, masterlist: Sequence[MatchEntry]) -> None:
        super().__init__(site.kafka(), masterlist)
        self._prices = {(one.match_number, pool.category): pool.price for one in masterlist for pool in one.pools}
        self.sold: Counter[str] = Counter()
        self.money: Counter[str] = Counter()

    def understood(self, message: TicketMessage) -> None:
        if message.action is Action.RESERVED:
            for line in message.lines:
                price = self._prices[message.match_number, line.category]
                self.sold[message.client_id or "?"] += line.quantity
                self.money[message.client_id or "?"] += int(price * 100) * line.quantity


def audit(
    sites: Sequence[DemoSite],
    masterlist: Sequence[MatchEntry],
    told: Mapping[str, Told],
    interrupted: Callable[[float], bool],
    seconds: float = REST_SECONDS,
) -> Report:
    """Looks until everything holds, `seconds` at most; `interrupted` waits and says whether somebody wants to leave."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            report = _look(sites, masterlist, told)
        except (httpx.HTTPError, psycopg.Error, stripe.StripeError) as error:
            report = Report([Check("every site answers", (repr(error),))])
        if report.holds or time.monotonic() > deadline or interrupted(LOOK_SECONDS):
            return report


def _look(sites: Sequence[DemoSite], masterlist: Sequence[MatchEntry], told: Mapping[str, Told]) -> Report:
    with _Ledger(sites[0], masterlist) as ledger:
        ledger.catch_up()
    counted = {site.name: counters(site) for site in sites}
    kept = {site.name: _kept(site) for site in sites}
    report = Report(
        sold=ledger.sold, records=ledger.records, kept={name: sum(of.values()) for name, of in kept.items()}
    )
    report.checks = [
        Check("nothing is on hold any more", tuple(_open_holds(counted))),
        Check("all sites have the same counters", tuple(_differences(counted))),
        Check("the log, recounted by another hand, says the same", tuple(_recounted(ledger.admission, counted))),
        Check("no pool is oversold", tuple(_oversold(ledger.admission))),
        Check("what Stripe keeps is what the log says is sold", tuple(_money(report.kept, ledger.money))),
        Check("who was told `reserved` was charged once, and the right amount", tuple(_receipts(kept, told))),
        Check("every ledger sums up to zero", tuple(site.name for site in sites if _is_unbalanced(site))),
    ]
    if report.holds:  # dear: each site reads the whole log
        report.checks += [_verified(site) for site in sites]
    return report


def counters(site: DemoSite) -> Counted:
    """What the site's shop shows."""
    answer = httpx.get(site.url("shop") + "/api/matches", params={"limit": 100}, timeout=ASK_SECONDS, trust_env=False)
    answer.raise_for_status()
    return {
        Pool(match["matchNumber"], pool["category"]): (pool["pending"], pool["reserved"])
        for match in answer.json()["items"]
        for pool in match["categories"]
    }


def _open_holds(counted: Mapping[str, Counted]) -> Iterator[str]:
    for name, pools in counted.items():
        for pool, (pending, reserved) in pools.items():
            if pending != reserved:
                yield f"{name}: match {pool.match_number} category {pool.category}: {reserved - pending} on hold"


def _differences(counted: Mapping[str, Counted]) -> Iterator[str]:
    (first, of_first), *others = counted.items()
    for name, pools in others:
        for pool in sorted(of_first.keys() | pools.keys()):
            if of_first.get(pool) != pools.get(pool):
                yield f"{pool}: {first} has {of_first.get(pool)}, {name} has {pools.get(pool)}"


def _recounted(admission: Admission, counted: Mapping[str, Counted]) -> Iterator[str]:
    pools = next(iter(counted.values()))
    for pool, stock in admission.stocks.items():
        expected = (max(0, stock.free), max(0, stock.capacity - stock.sold))
        if pools.get(pool) != expected:
            yield f"{pool}: {expected} in the log, {pools.get(pool)} at the site"


def _oversold(admission: Admission) -> Iterator[str]:
    for pool, stock in admission.stocks.items():
        if stock.sold > stock.capacity:
            yield f"{pool}: {stock.sold} of {stock.capacity}"


def _money(kept: Mapping[str, int], money: Mapping[str, int]) -> Iterator[str]:
    for name, amount in kept.items():
        if amount != money.get(name, 0):
            yield f"{name}: {amount} at Stripe, {money.get(name, 0)} in the log (minor units)"


def _receipts(kept: Mapping[str, Mapping[str, int]], told: Mapping[str, Told]) -> Iterator[str]:
    for name, charged in kept.items():
        for reservation_id, amount in told[name].receipts.items() if name in told else ():
            if charged.get(reservation_id) != amount:
                yield f"{name}: {reservation_id}: {charged.get(reservation_id)} charged, {amount} told"


def _kept(site: DemoSite) -> dict[str, int]:
    """By reservation, what Stripe took and has not given back; minor units."""
    api = stripe.StripeClient(site.secret("STRIPE_SECRET_KEY"), base_addresses={"api": site.url("stripe-standin")})
    kept: Counter[str] = Counter()
    reservation_of = {}
    for intent in api.v1.payment_intents.list({"limit": 100}).auto_paging_iter():
        reservation_of[intent.id] = intent.metadata["reservationId"]
        kept[intent.metadata["reservationId"]] += intent.amount_received or 0
    for refund in api.v1.refunds.list({"limit": 100}).auto_paging_iter():
        if refund.status == "succeeded":
            kept[reservation_of[str(refund.payment_intent)]] -= refund.amount
    return {reservation_id: amount for reservation_id, amount in kept.items() if amount}


def _is_unbalanced(site: DemoSite) -> bool:
    with psycopg.connect(site.database_url) as connection:
        row = connection.execute(UNBALANCED.encode()).fetchone()
    return row is None or row[0] != 0


def _verified(site: DemoSite) -> Check:
    headers = {"Authorization": f"Bearer {site.secret('SERVICE_TOKEN')}"}
    url = site.url("shop-consumer") + "/api/verify"
    answer = httpx.get(url, headers=headers, timeout=ASK_SECONDS, trust_env=False)
    against = () if answer.status_code == 200 and answer.json()["equal"] else (answer.text[:500],)
    return Check(f"{site.name} verifies its counters from the log", against)
