"""Group commit: who shares a transaction with whom, and what each buyer hears."""

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from reservations.domain import Reservation, Standing, Submit
from reservations.handlers import Result
from reservations.submitter import Submitter
from shared.errors import DependencyUnavailable
from shop.inventory.domain import Follows, Pool, Sale, SaleKey, SoldOut, State

SECONDS = 10
POOL = Pool(1, 1)


def _wish(name: str) -> Submit:
    return Submit(name, f"sale-{name}", f"{name}@example.org", POOL, 1, None, b"", None)


def _standing(wish: Submit) -> Standing:
    now = datetime(2022, 11, 20, tzinfo=UTC)
    reservation = Reservation(
        wish.id, wish.sale_id, wish.buyer, wish.email, POOL, 1, Decimal(75), 7500, "USD", now, None
    )
    key = SaleKey("here", wish.sale_id, POOL)
    return Standing(reservation, Sale(key, 1, Follows.SITE, State.SUBMITTED, State.SUBMITTED, expires_at=now))


class Desk:
    """A `submit_all` that stops before each batch until it is let go on, and remembers who came together."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)
        self.answer: Callable[[Submit], Result] = _standing

    def __call__(self, wishes: Sequence[Submit]) -> list[Result]:
        self.batches.append([wish.id for wish in wishes])
        self.begun.release()
        assert self.go_on.acquire(timeout=SECONDS)
        return [self.answer(wish) for wish in wishes]


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def submitter(desk: Desk) -> Iterator[Submitter]:
    made = Submitter(desk, batch_max=3, gather_seconds=0.001, threads=1, queue_max=5)
    yield made
    for _ in range(10):
        desk.go_on.release()
    made.close()


def test_who_comes_while_a_transaction_runs_shares_the_next_one(desk: Desk, submitter: Submitter) -> None:
    first = submitter.submit(_wish("a"))
    assert desk.begun.acquire(timeout=SECONDS)
    later = [submitter.submit(_wish(name)) for name in "bcde"]
    for _ in range(3):
        desk.go_on.release()
    assert [ticket.standing().reservation.id for ticket in (first, *later)] == ["a", "b", "c", "d", "e"]
    assert desk.batches == [["a"], ["b", "c", "d"], ["e"]], "at most `batch_max` share one"


def test_each_buyer_hears_of_the_own_wish_only(desk: Desk, submitter: Submitter) -> None:
    desk.answer = lambda wish: SoldOut() if wish.id == "b" else _standing(wish)
    desk.go_on.release()
    desk.go_on.release()
    tickets = {name: submitter.submit(_wish(name)) for name in "ab"}
    assert tickets["a"].standing().reservation.id == "a"
    with pytest.raises(SoldOut):
        tickets["b"].standing()


def test_an_error_that_nobody_foresaw_reaches_everybody_of_the_batch_and_the_next_goes_on(
    desk: Desk, submitter: Submitter
) -> None:
    def broken(wish: Submit) -> Result:
        raise LookupError(wish.id)

    desk.answer = broken
    wake = threading.Event()
    ticket = submitter.submit(_wish("a"), wake)
    desk.go_on.release()
    assert wake.wait(SECONDS), "who waits for the verdict is woken"
    with pytest.raises(LookupError):
        ticket.standing()
    desk.answer = _standing
    desk.go_on.release()
    assert submitter.submit(_wish("b")).standing().reservation.id == "b"


def test_too_many_who_wait_are_told_to_come_again(desk: Desk, submitter: Submitter) -> None:
    submitter.submit(_wish("a"))
    assert desk.begun.acquire(timeout=SECONDS)
    for number in range(5):
        submitter.submit(_wish(f"b{number}"))
    with pytest.raises(DependencyUnavailable):
        submitter.submit(_wish("c"))


def test_who_waits_for_a_verdict_is_not_woken_by_the_transactions_end(desk: Desk, submitter: Submitter) -> None:
    wake = threading.Event()
    ticket = submitter.submit(_wish("a"), wake)
    desk.go_on.release()
    assert ticket.standing().status is State.SUBMITTED
    assert not wake.is_set()


def test_what_waits_is_finished_before_the_end(desk: Desk) -> None:
    submitter = Submitter(desk, batch_max=3, gather_seconds=0, threads=1, queue_max=5)
    tickets = [submitter.submit(_wish(name)) for name in "abcd"]
    for _ in range(4):
        desk.go_on.release()
    submitter.close()
    assert all(ticket.future.done() for ticket in tickets)
