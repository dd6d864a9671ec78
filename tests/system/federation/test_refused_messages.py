"""What no site applies: no counter moves, the offset advances, the record is kept to the byte, the next one counts."""

import itertools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.eventually import eventually
from tests.system.federation.members import Federation, Member, raw_value
from tests.system.federation.partner import PENDING, Place, match_record, message, tickets

UNKNOWN_MATCH = 9_000
LATE_MATCHES = itertools.count(500)


def without(document: dict[str, Any], *path: str) -> dict[str, Any]:
    """The document without the member at the path."""
    inner = document
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return document


def hold(match: Any, category: Any = 1, quantity: Any = 1) -> dict[str, Any]:
    return message(PENDING, match, {"category": category, "quantity": quantity, "price": 75})


def padded(match: int, size: int) -> bytes:
    """A good message of that many bytes."""
    raw = json.dumps(hold(match)).encode()
    return raw + b" " * (size - len(raw))


WRONG: list[tuple[str, Callable[[int], Any], str]] = [
    ("not JSON", lambda m: b'{"meta": {"action": "TICKET_PENDING"}, "body"', "not_json"),
    ("not UTF-8", lambda m: b'{"meta": "\xff\xfe"}', "not_json"),
    ("a record without a value", lambda m: None, "not_json"),
    ("an empty record", lambda m: b"", "not_json"),
    ("JSON null", lambda m: b"null", "not_json"),
    ("a JSON list", lambda m: [hold(m)], "not_json"),
    ("an empty object", lambda m: {}, "no_action"),
    ("no meta", lambda m: without(hold(m), "meta"), "no_action"),
    ("no meta.action", lambda m: without(hold(m), "meta", "action"), "no_action"),
    ("an unknown action", lambda m: message("TICKET_SOLD", m, tickets(1, 1)), "unknown_action"),
    ("an action in other letters", lambda m: message("ticket_pending", m, tickets(1, 1)), "unknown_action"),
    ("no body", lambda m: without(hold(m), "body"), "bad_tickets"),
    ("no tickets", lambda m: without(hold(m), "body", "tickets"), "bad_tickets"),
    ("an empty list of tickets", lambda m: message(PENDING, m), "bad_tickets"),
    ("no quantity", lambda m: without(hold(m), "body", "tickets", "quantity"), "bad_quantity"),
    ("quantity 0", lambda m: hold(m, quantity=0), "bad_quantity"),
    ("a negative quantity", lambda m: hold(m, quantity=-1), "bad_quantity"),
    ("half a ticket", lambda m: hold(m, quantity=1.5), "bad_quantity"),
    ("quantity as text", lambda m: hold(m, quantity="1"), "bad_quantity"),
    ("quantity true", lambda m: hold(m, quantity=True), "bad_quantity"),
    ("a quantity above the limit", lambda m: hold(m, quantity=3), "bad_quantity"),
    ("a quantity beyond any integer", lambda m: hold(m, quantity=10**30), "bad_quantity"),
    ("a category that the match has not", lambda m: hold(m, category=4), "unknown_category"),
    ("category 0", lambda m: hold(m, category=0), "unknown_category"),
    ("a category beyond any integer", lambda m: hold(m, category=2**63), "unknown_category"),
    ("no category", lambda m: without(hold(m), "body", "tickets", "category"), "unknown_category"),
    ("a match that is not in the list", lambda m: hold(UNKNOWN_MATCH), "unknown_match"),
    ("no match number", lambda m: without(hold(m), "body", "matchNumber"), "bad_match_number"),
    ("a match number in words", lambda m: hold("final"), "bad_match_number"),
    ("a body over the size limit", lambda m: padded(m, 65_537), "body_too_large"),
]


@pytest.fixture(scope="module")
def shared_match(_numbers: Iterator[int]) -> int:
    """One match for all wrong messages: nothing may move on it but the good record after each."""
    return next(_numbers)


@pytest.mark.parametrize(("make", "reason"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_it_is_refused_kept_and_passed(federation: Federation, shared_match: int, make: Any, reason: str) -> None:
    federation.settle()
    before = {member.client_id: member.counted(shared_match) for member in federation.members}
    headers = {"clientId": "atlas", "x": "é"}
    bad = federation.send(make(shared_match), headers, key=b"k-\xff")
    good = federation.send(hold(shared_match, 2))
    federation.settle()
    assert good.offset == bad.offset + 1
    written = federation.partner.read(bad.topic, bad.offset)[0]
    for member in federation.members:
        capacity, pending, reserved = before[member.client_id][2]
        after = {**before[member.client_id], 2: (capacity, pending - 1, reserved)}
        assert member.counted(shared_match) == after
        _is_kept(member, bad, written, reason)
        assert member.refused(good) == []


def _is_kept(member: Member, place: Place, written: Any, reason: str) -> None:
    (item,) = member.refused(place)
    assert item["reason"] == reason
    assert item["detail"]
    assert raw_value(item) == written.value
    assert {header["name"]: header["value"] for header in item["headers"]} == {"clientId": "atlas", "x": "é"}
    query = 'SELECT key, timestamp_ms FROM shop.refused WHERE topic = %s AND partition = %s AND "offset" = %s'
    kept = member.rows(query, *place)
    assert kept == [{"key": b"k-\xff", "timestamp_ms": written.timestamp}]
    assert datetime.fromisoformat(item["timestamp"]) == datetime.fromtimestamp(written.timestamp / 1000, UTC)
    assert item["replayedAt"] is None


def test_a_body_of_exactly_the_size_limit_counts(federation: Federation, match: int) -> None:
    federation.send(padded(match, 65_536))
    federation.expect(match, c1=(20, 19, 20))


def test_one_reason_can_be_listed_alone(federation: Federation, match: int) -> None:
    federation.send(message("TICKET_GONE", match, tickets(1, 1)))
    federation.send(b"{")
    federation.settle()
    items = federation.ours.get("/api/refused", reason="unknown_action", limit=1000)["items"]
    assert items
    assert {item["reason"] for item in items} == {"unknown_action"}


def test_refused_records_are_counted_by_reason_in_the_metrics(federation: Federation, match: int) -> None:
    def refused() -> float:
        text = federation.ours.site.client("shop-consumer").get("/metrics").text
        lines = [line for line in text.splitlines() if "refused" in line and 'reason="unknown_action"' in line]
        return sum(float(line.rpartition(" ")[2]) for line in lines if "_created" not in line)

    federation.settle()
    before = refused()
    federation.send(message("TICKET_GONE", match, tickets(1, 1)))
    federation.settle()
    eventually(lambda: refused() == before + 1, what="one more refused record in the metrics")


def test_a_record_that_was_refused_counts_once_when_an_operator_replays_it(federation: Federation) -> None:
    late_match = next(LATE_MATCHES)
    place = federation.send(message(PENDING, late_match, tickets(1, 2)), {"clientId": "atlas"})
    federation.settle()
    (item,) = federation.ours.refused(place)
    assert item["reason"] == "unknown_match"
    still = federation.ours.replay(item["id"])
    assert (still.status_code, still.json()["code"]) == (409, "still_refused")
    assert federation.ours.refused(place)[0]["replayedAt"] is None

    federation.publish(match_record(late_match))
    federation.settle()
    federation.expect(late_match)
    replayed = federation.ours.replay(item["id"])
    assert replayed.status_code == 200, replayed.text
    assert replayed.json()["replayedAt"] is not None
    _eventually_shown(federation, late_match)
    federation.expect_at(federation.other, late_match)
    again = federation.ours.replay(item["id"])
    assert (again.status_code, again.json()["code"]) == (409, "already_replayed")
    federation.expect_at(federation.ours, late_match, c1=(20, 18, 20))


def _eventually_shown(federation: Federation, match: int) -> None:
    """What comes beside the log has no place in it that the shop could tell, so it may come a moment later."""

    def shown() -> bool:
        federation.expect_at(federation.ours, match, c1=(20, 18, 20))
        return True

    eventually(shown)


def test_a_sale_for_a_match_that_is_published_after_it_is_refused_at_both_sites(federation: Federation) -> None:
    late_match = next(LATE_MATCHES)
    place = federation.send(message(PENDING, late_match, tickets(1, 2)))
    federation.settle()
    federation.publish(match_record(late_match))
    federation.send(message(PENDING, late_match, tickets(1, 1)))
    federation.expect(late_match, c1=(20, 19, 20))
    assert [member.refused(place)[0]["reason"] for member in federation.members] == ["unknown_match"] * 2


def test_a_sale_right_after_its_match_was_published_counts(federation: Federation) -> None:
    for late_match in itertools.islice(LATE_MATCHES, 5):
        federation.publish(match_record(late_match))
        federation.send(message(PENDING, late_match, tickets(1, 2)))
        federation.expect(late_match, c1=(20, 18, 20))


def test_a_replay_needs_the_service_token(federation: Federation) -> None:
    place = federation.send(b"not JSON")
    federation.settle()
    (item,) = federation.ours.refused(place)
    answer = federation.ours.site.client("shop-consumer").post(f"/api/refused/{item['id']}/replay")
    assert answer.status_code == 401


def test_a_burst_of_bad_records_stops_nothing(federation: Federation, match: int) -> None:
    places = [federation.send(make(match)) for _, make, _ in WRONG if make(match) is not None]
    federation.send(message(PENDING, match, tickets(1, 2)))
    federation.expect(match, c1=(20, 18, 20))
    assert all(member.refused(place) for member in federation.members for place in places)
