"""Time is the log's: holds end, and capacities begin to count, at the same record at every site.

The topics are as others may have made them: several partitions, and records dated by whoever writes them. The tests
write their own history, beginning a month ago.
"""

import itertools
import time
from typing import Any

import pytest

from tests.eventually import eventually
from tests.system.federation.conftest import DATED_PARTITIONS, LOG_HOLD_MS
from tests.system.federation.members import Federation
from tests.system.federation.partner import CANCELLED, PENDING, RESERVED, Place, match_record, message, tickets

MONTH_MS = 30 * 24 * 3_600_000
HOUR_MS = 3_600_000
YEAR_2100_MS = 4_102_444_800_000
CAPACITY_DELAY_MS = 10_000
BEGAN_MS = int(time.time() * 1000) - MONTH_MS
MATCHES = itertools.count(1)
SALE = {"clientId": "atlas", "saleId": "one-sale"}


class History:
    """One partition, written record by record at chosen moments; `now` is its clock."""

    def __init__(self, federation: Federation, partition: int) -> None:
        self.federation = federation
        self.partition = partition
        federation.settle()
        clock = federation.ours.clock_ms(federation.topics.sales, partition)
        self.now = (clock or BEGAN_MS) + 1000

    def write(self, value: Any, headers: dict[str, str] | None = None, at: int | None = None) -> Place:
        moment = self.now if at is None else at
        return self.federation.send(value, headers, partition=self.partition, timestamp_ms=moment)

    def pass_to(self, moment: int) -> None:
        """Lets time pass by records that count nothing, an hour at a time."""
        while self.now < moment:
            self.now = min(moment, self.now + HOUR_MS)
            self.write(b"tick")

    def clocks(self) -> set[int | None]:
        self.federation.settle()
        return {member.clock_ms(self.federation.topics.sales, self.partition) for member in self.federation.members}


@pytest.fixture
def match() -> int:
    """The number of a match that nobody has touched here."""
    return next(MATCHES)


@pytest.fixture
def history(dated: Federation) -> History:
    return History(dated, 0)


def of_pool(dated: Federation, match: int, category: int) -> History:
    """The partition that senders with keys use for the pool."""
    place = dated.send(b"where", key=f"{match}-{category}".encode(), timestamp_ms=BEGAN_MS)
    return History(dated, place.partition)


def test_records_of_one_pool_may_stand_in_several_partitions(dated: Federation, match: int) -> None:
    """Each message is applied before the next is written: between partitions there is no other order."""
    steps = ((PENDING, 2), (PENDING, 2), (PENDING, 1), (RESERVED, 1), (CANCELLED, 2), (CANCELLED, 2))
    held = sold = 0
    for action, quantity in steps:
        for partition in range(DATED_PARTITIONS):
            dated.send(message(action, match, tickets(1, quantity)), partition=partition, timestamp_ms=BEGAN_MS)
            held += quantity if action == PENDING else -quantity
            sold += quantity if action == RESERVED else 0
            dated.expect(match, c1=(20, 20 - held - sold, 20 - sold))
    assert (held, sold) == (0, DATED_PARTITIONS)
    assert dated.ours.flags(match) == dated.other.flags(match) == []


@pytest.mark.parametrize("headers", [None, SALE], ids=["anonymous", "with a sale id"])
def test_a_hold_that_is_never_finished_ends_by_the_clock_of_the_log(
    history: History, match: int, headers: dict[str, str] | None
) -> None:
    history.write(message(PENDING, match, tickets(1, 2)), headers)
    born = history.now
    history.pass_to(born + LOG_HOLD_MS - 1)
    history.federation.expect(match, c1=(20, 18, 20))
    history.pass_to(born + LOG_HOLD_MS)
    history.federation.expect(match)


def test_a_hold_ends_before_the_record_that_ends_it_is_judged(history: History, match: int) -> None:
    for number in range(10):
        history.write(message(PENDING, match, tickets(1, 2)), SALE | {"saleId": f"early-{number}"})
    born = history.now
    history.pass_to(born + LOG_HOLD_MS - 1)
    history.write(message(PENDING, match, tickets(1, 2)), SALE | {"saleId": "too-early"})
    history.write(message(PENDING, match, tickets(1, 2)), SALE | {"saleId": "in-time"}, at=born + LOG_HOLD_MS)
    history.federation.expect(match, c1=(20, 18, 20))


def test_a_sale_after_its_hold_has_run_out_counts_and_is_flagged(history: History, match: int) -> None:
    history.write(message(PENDING, match, tickets(1, 2)), SALE)
    history.pass_to(history.now + LOG_HOLD_MS)
    history.write(message(RESERVED, match, tickets(1, 2)), SALE)
    history.federation.expect(match, c1=(20, 18, 18))
    assert history.federation.other.flags(match) == ["reserved_after_release"]


def test_the_clock_of_one_partition_ends_no_hold_of_another(dated: Federation, history: History, match: int) -> None:
    history.write(message(PENDING, match, tickets(1, 2)))
    elsewhere = History(dated, 1)
    elsewhere.pass_to(max(elsewhere.now, history.now) + LOG_HOLD_MS + HOUR_MS)
    dated.expect(match, c1=(20, 18, 20))


def test_a_partner_whose_clock_is_broken_moves_the_clock_by_an_hour_and_frees_no_hold(
    history: History, match: int
) -> None:
    history.write(message(PENDING, match, tickets(1, 2)))
    born = history.now
    history.write(message(PENDING, match, tickets(2, 1)), at=YEAR_2100_MS)
    assert history.clocks() == {born + HOUR_MS}
    history.federation.expect(match, c1=(20, 18, 20), c2=(20, 19, 20))


def test_a_record_from_the_past_does_not_set_the_clock_back(history: History, match: int) -> None:
    history.write(message(PENDING, match, tickets(1, 1)))
    history.write(message(PENDING, match, tickets(1, 1)), at=history.now - MONTH_MS)
    history.write(message(PENDING, match, tickets(1, 1)), at=0)
    assert history.clocks() == {history.now}
    history.pass_to(history.now + LOG_HOLD_MS)
    history.federation.expect(match)


def test_a_refused_record_moves_the_clock_all_the_same(history: History, match: int) -> None:
    history.write(message(PENDING, match, tickets(1, 2)))
    born = history.now
    history.write(b"{", at=born + HOUR_MS)
    history.write(message("TICKET_GONE", match, tickets(1, 1)), at=born + LOG_HOLD_MS)
    assert history.clocks() == {born + LOG_HOLD_MS}
    history.federation.expect(match)


def test_a_replayed_record_leaves_the_clock_alone(history: History, match: int) -> None:
    dated = history.federation
    unknown = match + 20_000
    place = history.write(message(PENDING, unknown, tickets(1, 1)))
    dated.settle()
    dated.publish(match_record(unknown), timestamp_ms=history.now)
    history.pass_to(history.now + 5000)
    before = history.clocks()
    (item,) = dated.ours.refused(place)
    assert dated.ours.replay(item["id"]).status_code == 200
    assert history.clocks() == before
    dated.expect_at(dated.ours, unknown, c1=(20, 19, 20))


def test_a_changed_capacity_counts_for_verdicts_from_a_moment_of_the_logs_clock(history: History, match: int) -> None:
    dated = history.federation
    more = match_record(match)
    more["availability"]["category1"]["available"] = 22
    dated.publish(more, timestamp_ms=history.now)
    for number in range(10):
        history.write(message(PENDING, match, tickets(1, 2)), SALE | {"saleId": f"sale-{number}"})
    since = history.now + CAPACITY_DELAY_MS
    history.write(message(PENDING, match, tickets(1, 2)), SALE | {"saleId": "too-early"}, at=since - 1)
    dated.expect(match, c1=(22, 2, 22))
    history.write(message(PENDING, match, tickets(1, 2)), SALE | {"saleId": "in-time"}, at=since)
    dated.expect(match, c1=(22, 0, 22))


# -- our own buyers --------------------------------------------------------------------------------------------------


def submit(dated: Federation, match: int, quantity: int = 2) -> dict[str, Any]:
    answer = dated.ours.site.client("reservations").post(
        "/api/reservations?wait=15",
        json={"matchNumber": match, "category": 1, "quantity": quantity, "email": "a@b.example"},
    )
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_an_idle_log_still_sells_what_a_record_written_now_would_release(dated: Federation, match: int) -> None:
    history = of_pool(dated, match, 1)
    for _ in range(10):
        history.write(message(PENDING, match, tickets(1, 2)))
    history.pass_to(history.now + LOG_HOLD_MS - HOUR_MS)
    dated.settle()
    assert dated.ours.counted(match)[1].pending == 0
    assert submit(dated, match)["status"] == "held"
    eventually(lambda: dated.ours.counted(match)[1].pending == 18, what="the holds that are over are released")
    eventually(lambda: dated.other.counted(match)[1].pending == 18, what="at the other site, too")


def test_an_idle_log_sells_nothing_that_it_would_not_release(dated: Federation, match: int) -> None:
    history = of_pool(dated, match, 1)
    for _ in range(10):
        history.write(message(PENDING, match, tickets(1, 2)))
    history.pass_to(history.now + LOG_HOLD_MS - HOUR_MS - 1)
    dated.settle()
    answer = dated.ours.site.client("reservations").post(
        "/api/reservations", json={"matchNumber": match, "category": 1, "quantity": 2, "email": "a@b.example"}
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "temporarily_unavailable")


def test_our_own_hold_ends_by_the_clock_of_the_log_too(dated: Federation, match: int) -> None:
    reservation = submit(dated, match)
    history = History(dated, reservation["logPosition"]["partition"])
    history.pass_to(history.now + LOG_HOLD_MS)
    dated.expect(match)
    path = f"/api/reservations/{reservation['id']}"
    opened = {"Authorization": f"Bearer {reservation['accessToken']}"}
    assert dated.ours.site.client("reservations").get(path, headers=opened).json()["status"] == "expired"
    confirmed = dated.ours.site.client("reservations").post(
        f"/internal/reservations/{reservation['id']}/confirm", headers=dated.ours.site.operator()
    )
    assert (confirmed.status_code, confirmed.json()["code"]) == (409, "hold_expired")
