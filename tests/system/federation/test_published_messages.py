"""What we publish, read back from the broker: strict partners accept every record, whatever the buyer did."""

import json
import re
import uuid
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.contract.schemas import GOLDEN, load, validator
from tests.eventually import eventually
from tests.system.federation.members import Federation, Member
from tests.system.federation.partner import CANCELLED, PENDING, PRICES, RESERVED, Place, message, tickets

STRICT_PARTNER = Draft202012Validator(load(GOLDEN / "strict_partner.schema.json"))
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Buyer:
    """Somebody at our site."""

    def __init__(self, federation: Federation) -> None:
        self.federation = federation
        self.site = federation.ours.site
        self.start = federation.partner.end(federation.topics.sales)

    def submit(self, match: int, category: int = 1, quantity: int = 1, wait: int = 15, **headers: str) -> Any:
        answer = self.site.client("reservations").post(
            f"/api/reservations?wait={wait}",
            json={
                "matchNumber": match,
                "category": category,
                "quantity": quantity,
                "email": f"{uuid.uuid4()}@b.example",
            },
            headers=headers,
        )
        assert answer.status_code == 201, answer.text
        return answer.json()

    def confirm(self, reservation: Any) -> None:
        path = f"/internal/reservations/{reservation['id']}/confirm"
        answer = self.site.client("reservations").post(path, headers=self.site.operator())
        assert answer.status_code == 200, answer.text

    def cancel(self, reservation: Any) -> None:
        opened = {"Authorization": f"Bearer {reservation['accessToken']}"}
        answer = self.site.client("reservations").delete(f"/api/reservations/{reservation['id']}", headers=opened)
        assert answer.status_code == 200, answer.text

    def status(self, reservation: Any) -> str:
        opened = {"Authorization": f"Bearer {reservation['accessToken']}"}
        answer = self.site.client("reservations").get(f"/api/reservations/{reservation['id']}", headers=opened)
        return str(answer.json()["status"])

    def published(self, match: int, count: int) -> list[Any]:
        """What our site has written about the match, once it is as much as expected."""

        def records() -> list[Any]:
            found = [
                record
                for record in self.federation.partner.read(self.federation.topics.sales, self.start)
                if ("clientId", b"matchday") in record.headers
                and json.loads(record.value)["body"]["matchNumber"] == match
            ]
            assert len(found) >= count, found
            return found

        found = eventually(records, 60, f"{count} records about match {match}")
        self.federation.saw(Place(found[-1].topic, found[-1].partition, found[-1].offset))
        return found


@pytest.fixture
def buyer(federation: Federation) -> Iterator[Buyer]:
    buyer = Buyer(federation)
    yield buyer
    buyer.site.resume("shop-consumer")


def check(record: Any, match: int, category: int, quantity: int, sale_ids: set[str]) -> str:
    """The record is exactly as agreed; returns its action."""
    document = json.loads(record.value)
    STRICT_PARTNER.validate(document)
    validator("ticket-sale").validate(document)
    assert set(document) == {"meta", "body"}
    assert set(document["meta"]) == {"action"}
    assert document["body"] == {
        "matchNumber": match,
        "tickets": {"category": category, "quantity": quantity, "price": PRICES[category]},
    }
    assert record.key == f"{match}-{category}".encode()
    headers = {name: value.decode() for name, value in record.headers}
    assert len(headers) == len(record.headers)
    assert {"clientId", "saleId", "messageId"} <= set(headers) <= {"clientId", "saleId", "messageId", "traceparent"}
    assert headers["clientId"] == "matchday"
    assert str(uuid.UUID(headers["saleId"])) == headers["saleId"]
    assert str(uuid.UUID(headers["messageId"])) == headers["messageId"]
    sale_ids.add(headers["saleId"])
    return str(document["meta"]["action"])


@pytest.mark.parametrize("category", [1, 2, 3])
@pytest.mark.parametrize("quantity", [1, 2])
def test_a_hold_and_its_sale_are_published_as_strict_partners_want_them(
    buyer: Buyer, match: int, category: int, quantity: int
) -> None:
    reservation = buyer.submit(match, category, quantity)
    assert reservation["status"] == "held"
    buyer.confirm(reservation)
    sale_ids: set[str] = set()
    records = buyer.published(match, 2)
    assert [check(record, match, category, quantity, sale_ids) for record in records] == [PENDING, RESERVED]
    assert len(sale_ids) == 1
    assert len({dict(record.headers)["messageId"] for record in records}) == 2
    assert reservation["logPosition"] == {
        "topic": buyer.federation.topics.sales,
        "partition": 0,
        "offset": records[0].offset,
    }
    buyer.federation.settle()
    sold = (20, 20 - quantity, 20 - quantity)
    eventually(lambda: buyer.federation.other.counted(match)[category] == sold, what="the other site counts it")
    buyer.federation.expect(match, **{f"c{category}": sold})


def test_a_cancelled_hold_is_published_as_given_back(buyer: Buyer, match: int) -> None:
    reservation = buyer.submit(match, 2, 2)
    buyer.cancel(reservation)
    buyer.cancel(reservation)
    sale_ids: set[str] = set()
    records = buyer.published(match, 2)
    assert [check(record, match, 2, 2, sale_ids) for record in records] == [PENDING, CANCELLED]
    assert len(sale_ids) == 1
    _nothing_is_held(buyer, match)


def test_a_hold_that_runs_out_is_published_as_given_back(buyer: Buyer, match: int) -> None:
    reservation = buyer.submit(match, 3, 1)
    # Ten minutes of a buyer's time, over at once.
    buyer.federation.ours.rows(
        "UPDATE shop.sales SET expires_at = now() WHERE match_number = %s RETURNING sale_id", match
    )
    records = buyer.published(match, 2)
    assert [check(record, match, 3, 1, set()) for record in records] == [PENDING, CANCELLED]
    assert buyer.status(reservation) == "expired"
    _nothing_is_held(buyer, match)


def test_a_hold_that_lost_the_race_is_published_as_given_back(buyer: Buyer, match: int) -> None:
    """Our consumer hangs while another site takes all tickets, so that our counters do not know it yet."""
    buyer.federation.settle()
    buyer.site.pause("shop-consumer")
    for number in range(10):
        buyer.federation.send(message(PENDING, match, tickets(1, 2)), {"clientId": "atlas", "saleId": f"s-{number}"})
    reservation = buyer.submit(match, 1, 2, wait=0)
    assert reservation["status"] == "submitted"
    buyer.published(match, 1)
    buyer.site.resume("shop-consumer")
    records = buyer.published(match, 2)
    sale_ids: set[str] = set()
    assert [check(record, match, 1, 2, sale_ids) for record in records] == [PENDING, CANCELLED]
    assert len(sale_ids) == 1
    assert buyer.status(reservation) == "lost"
    eventually(lambda: buyer.federation.ours.in_log(match)[1] == (20, 0), what="the log is applied")
    buyer.federation.expect(match, c1=(20, 0, 20))
    assert buyer.federation.other.flags(match) == []


def test_a_trace_travels_with_the_record_in_its_header(buyer: Buyer, match: int) -> None:
    buyer.submit(match, traceparent=TRACE)
    (record,) = buyer.published(match, 1)
    check(record, match, 1, 1, set())
    traceparent = dict(record.headers)["traceparent"].decode()
    assert re.fullmatch(r"00-4bf92f3577b34da6a3ce929d0e0e4736-[0-9a-f]{16}-01", traceparent)


def test_a_pools_records_stand_in_the_order_in_which_they_became_true(buyer: Buyer, match: int) -> None:
    reservations = [buyer.submit(match, 1, 1, wait=0) for _ in range(8)]
    eventually(lambda: all(buyer.status(r) == "held" for r in reservations), what="all are held")
    for number, reservation in enumerate(reservations):
        (buyer.confirm if number % 2 else buyer.cancel)(reservation)
    records = buyer.published(match, 16)
    actions = [check(record, match, 1, 1, set()) for record in records]
    assert actions == [PENDING] * 8 + [CANCELLED, RESERVED] * 4
    sale_ids = [dict(record.headers)["saleId"] for record in records]
    assert sale_ids[:8] == sale_ids[8:]


def _is_empty(member: Member, match: int) -> bool:
    return set(member.in_log(match).values()) == {(0, 0)}


def _nothing_is_held(buyer: Buyer, match: int) -> None:
    for member in buyer.federation.members:
        eventually(partial(_is_empty, member, match), what="the log is applied")
    buyer.federation.expect(match)
