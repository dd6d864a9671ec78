"""The whole life of tickets that are sold again, as Hypothesis drives it: two sellers, three buyers, and crashes.

A crash is a process that dies in the middle: a transaction whose last statements never come, or a courier whose
receiver has done its work and whose own mark is lost. After each step a seat is one person's, or nobody's when its
money has gone back and the site has it; the books sum to zero, and no seller is credited twice.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from matchday.servers import Postgres
from payments.domain import RefundStatus
from reservations.resale import events, transitions
from shared.errors import MatchdayError
from tests.market import Market, Person, open_market
from tests.resources import Databases
from tests.seats import check_credits, check_projection, check_seats

PEOPLE = st.integers(0, 4)
ANY = st.integers(0, 9)


class Killed(BaseException):
    """The process is gone; nothing after this happens."""


class Resale(RuleBasedStateMachine):
    """Two who have tickets and three who have none yet; whoever has one may sell it."""

    market: ClassVar[Market]

    def __init__(self) -> None:
        super().__init__()
        self.market.clear()
        self.people = [self.market.person() for _ in range(5)]
        for seller in self.people[:2]:
            self.market.ticket(seller, 2)
        self.admin = self.market.person("admin")
        self.listings: list[str] = []
        self.ended: set[str] = set()
        self.held: list[tuple[Person, dict[str, Any]]] = []
        self.payments: list[str] = [row["id"] for row in self.market.rows("SELECT id::text FROM payments.payments")]

    # What people do

    @rule(who=PEOPLE, which=ANY, price=st.integers(1, 83))
    def list_a_ticket(self, who: int, which: int, price: int) -> None:
        person = self.people[who]
        if tickets := self.market.tickets(person):
            answer = self.market.put_up(person, tickets[which % len(tickets)]["id"], price)
            assert answer.status_code in (201, 409, 422), answer.text
            if answer.status_code == 201:
                self.listings.append(answer.get_json()["id"])

    @precondition(lambda self: self.listings)
    @rule(who=PEOPLE, which=ANY, price=st.integers(1, 83))
    def change_the_price(self, who: int, which: int, price: int) -> None:
        self.market.reprice(self.people[who], self._listing(which), price)

    @precondition(lambda self: self.listings)
    @rule(who=PEOPLE, which=ANY)
    def withdraw(self, who: int, which: int) -> None:
        self.market.withdraw(self.people[who], self._listing(which))

    @precondition(lambda self: self.listings)
    @rule(which=ANY)
    def an_admin_ends_a_listing(self, which: int) -> None:
        listing = self._listing(which)
        (before,) = self.market.rows("SELECT state FROM reservations.listings WHERE id = %s", listing)
        answer = self.market.end(self.admin, listing)
        if before["state"] == "open" or listing in self.ended:
            assert answer.get_json()["reason"] == "by_admin", answer.text
            self.ended.add(listing)
        else:
            code = "listing_held" if before["state"] == "held" else "listing_ended"
            assert (answer.status_code, answer.get_json()["code"]) == (409, code)

    @rule(who=PEOPLE, which=ANY)
    def hold(self, who: int, which: int) -> None:
        rows = self.market.rows("SELECT id::text FROM reservations.listings WHERE state IN ('open', 'held') ORDER BY 1")
        if rows:
            answer = self.market.hold(self.people[who], rows[which % len(rows)]["id"])
            if answer.status_code == 201:
                self.held.append((self.people[who], answer.get_json()))

    @precondition(lambda self: self.held)
    @rule(which=ANY)
    def give_back(self, which: int) -> None:
        person, held = self.held[which % len(self.held)]
        self.market.call(person, "DELETE", f"/api/reservations/{held['id']}")

    @precondition(lambda self: self.held)
    @rule(which=ANY)
    def pay(self, which: int) -> None:
        """In time, or as late as it likes."""
        _, held = self.held.pop(which % len(self.held))
        self.payments.append(self.market.pay(held))

    @precondition(lambda self: self.payments)
    @rule(which=ANY)
    def refund(self, which: int) -> None:
        # Nothing may be left of it, or it was sold again.
        with contextlib.suppress(MatchdayError):
            self.market.refund(self.payments[which % len(self.payments)])

    @rule()
    def time_goes_by(self) -> None:
        self.market.let_holds_end()

    # What goes on by itself, and what dies

    @rule(sender=st.sampled_from(["payments", "reservations"]), heard=st.booleans())
    def deliver(self, sender: str, heard: bool) -> None:
        self.market.deliver(sender, answer_is_heard=heard)

    @rule()
    def work(self) -> None:
        self.market.work()

    @rule()
    def stripe_gives_back(self) -> None:
        self.market.stripe_refunds()

    @rule()
    def stripe_refuses_a_refund(self) -> None:
        """Of a sale that stands: what must go back by rule, it takes in the end."""
        rows = self.market.rows(
            "SELECT r.id::text FROM payments.refunds r JOIN payments.payments p ON p.id = r.payment_id"
            " WHERE r.status = 'new' AND p.outcome = 'reserved' ORDER BY r.id LIMIT 1"
        )
        for row in rows:
            self.market.stripe_says_of(row["id"], RefundStatus.FAILED)

    @rule(which=st.sampled_from(["event", "hand over", "credit", "after"]), action=st.integers(0, 3))
    def a_process_dies(self, which: str, action: int) -> None:
        """In the middle of a transaction that changes listings, if there is one to do."""
        doing: list[Callable[[], object]] = [
            lambda: self.market.deliver("payments"),
            self.market.work,
            lambda: self.hold(2, 0),
            lambda: self.listings and self.an_admin_ends_a_listing(0),
        ]
        where = {
            "event": (events, "tell"),
            "hand over": (transitions, "_hand_over"),
            "credit": (transitions, "_credit"),
            "after": (transitions, "tell_changes"),
        }[which]

        def die(*_: object, **__: object) -> None:
            raise Killed

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(*where, die)
            with contextlib.suppress(Killed):
                doing[action]()

    def _listing(self, which: int) -> str:
        return self.listings[which % len(self.listings)]

    # What must hold

    @invariant()
    def a_seat_is_one_persons(self) -> None:
        check_seats(self.market.rows)

    @invariant()
    def the_books_sum_to_zero(self) -> None:
        assert sum(self.market.books().values()) == 0
        unbalanced = "SELECT 1 FROM payments.ledger_entries GROUP BY transaction_id HAVING sum(amount) <> 0"
        assert self.market.rows(unbalanced) == []

    @invariant()
    def nobody_has_the_money_twice(self) -> None:
        """Refunds and credits for the same tickets are no more than was paid, as far as the credits reach."""
        rows = self.market.rows(
            "SELECT p.received, coalesce((SELECT sum(r.amount) FROM payments.refunds r WHERE r.payment_id = p.id AND"
            " r.status <> 'failed'), 0)::bigint AS back, sum(o.sold_amount)::bigint AS resold,"
            " sum(o.withheld)::bigint AS withheld,"
            " (array_agg(o.amount ORDER BY o.created_at DESC, o.id DESC))[1] AS newest"
            " FROM payments.payments p JOIN payments.payouts o ON o.sold_reservation_id = p.reservation_id"
            " WHERE p.status = 'succeeded' GROUP BY p.id"
        )
        for row in rows:
            twice = max(0, row["back"] + row["resold"] - row["received"])
            assert row["withheld"] == twice or (row["withheld"] < twice and row["newest"] == 0), row

    @invariant()
    def nobody_is_credited_for_what_is_not_sold(self) -> None:
        wrong = "SELECT 1 FROM payments.payouts p JOIN reservations.listings l ON l.id = p.listing_id"
        assert self.market.rows(f"{wrong} WHERE l.state <> 'sold' OR l.by_site OR p.price <> l.price") == []

    @invariant()
    def what_an_admin_has_ended_is_nobodys_to_buy(self) -> None:
        """And nothing else says that an admin has ended it."""
        rows = self.market.rows(
            "SELECT l.id::text, l.state, l.held_by, l.ended_by::text, EXISTS (SELECT FROM reservations.resale_holds h"
            " WHERE h.listing_id = l.id AND h.state IN ('held', 'reserved')) AS has_buyer, EXISTS (SELECT FROM"
            " reservations.tickets t JOIN reservations.reservations r ON r.id = t.reservation_id"
            " WHERE r.listing_id = l.id) AS is_handed_over"
            " FROM reservations.listings l WHERE l.reason = 'by_admin'"
        )
        assert {row["id"] for row in rows} == self.ended
        for row in rows:
            assert (row["state"], row["held_by"], row["ended_by"]) == ("ended", None, self.admin.id), row
            assert (row["has_buyer"], row["is_handed_over"]) == (False, False), row

    def teardown(self) -> None:
        self.market.settle()
        self.a_seat_is_one_persons()
        self.the_books_sum_to_zero()
        self._each_seller_is_credited_once()
        self._who_has_paid_has_a_ticket_or_the_money()
        self._the_shop_shows_what_is_open()

    def _each_seller_is_credited_once(self) -> None:
        check_credits(self.market.rows)
        owed = self.market.rows("SELECT coalesce(sum(amount), 0)::bigint AS owed FROM payments.payouts")[0]["owed"]
        assert owed == -sum(amount for account, amount in self.market.books().items() if account.startswith("seller:"))

    def _who_has_paid_has_a_ticket_or_the_money(self) -> None:
        rows = self.market.rows(
            "SELECT p.outcome, p.received, coalesce((SELECT sum(r.amount) FROM payments.refunds r"
            " WHERE r.payment_id = p.id AND r.status = 'succeeded'), 0) AS back, EXISTS (SELECT FROM"
            " reservations.tickets t WHERE t.reservation_id = p.reservation_id) AS has_ticket FROM payments.payments p"
        )
        for row in rows:
            assert row["outcome"] in ("reserved", "refused"), row
            assert row["has_ticket"] == (row["outcome"] == "reserved"), row
            assert row["outcome"] == "reserved" or row["back"] == row["received"], row

    def _the_shop_shows_what_is_open(self) -> None:
        check_projection(self.market.rows)
        shown = sorted(listing["id"] for listing in self.market.shown("?limit=200"))
        rows = self.market.rows("SELECT id::text FROM reservations.listings WHERE state = 'open' ORDER BY id::text")
        assert shown == [row["id"] for row in rows]


@pytest.fixture
def market(_postgres: Postgres, _template: str) -> Iterator[Market]:
    databases = Databases(_postgres, _template)
    with open_market(databases.create()) as opened:
        yield opened
    databases.drop_all()


@pytest.mark.timeout(900)
def test_a_ticket_is_one_person_s_and_the_money_adds_up_whatever_happens(market: Market) -> None:
    Resale.market = market
    steps = settings(max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Resale, settings=steps)
