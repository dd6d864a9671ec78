"""What this product writes into the sales log, and what it understands of the others."""

import copy
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Literal

import pytest
from jsonschema import Draft202012Validator

from shared.wire import (
    BODY_BYTES_MAX,
    LINES_MAX,
    Action,
    Headers,
    Refused,
    decode,
    encode_ticket_message,
    pool_key,
)
from shop.inventory import outgoing
from shop.inventory.domain import Counters, Pool
from shop.inventory.outgoing import Sender
from tests.contract.schemas import GOLDEN, load, validator

MESSAGES = load(GOLDEN / "ticket_messages.json")
DIALECTS = load(GOLDEN / "partner_dialects.json")
STRICT_PARTNER = Draft202012Validator(load(GOLDEN / "strict_partner.schema.json"))
SALE = "5f3c1a52-8a0e-4a7e-9f0a-6d1f4f9f2f10"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def encode(arguments: dict[str, Any], **options: Any) -> bytes:
    return encode_ticket_message(**{**arguments, "price": Decimal(arguments["price"])}, **options)


def changes() -> Iterator[tuple[str, Any]]:
    """A valid message, changed in one place each time so that strict partners refuse it."""
    for path, value in (
        (("clientId",), "matchday"),
        (("meta", "clientId"), "matchday"),
        (("meta", "action"), "TICKET_SOLD"),
        (("body", "id"), 1),
        (("body", "matchNumber"), "12"),
        (("body", "tickets"), []),
        (("body", "tickets", "category"), 4),
        (("body", "tickets", "quantity"), 3),
        (("body", "tickets", "price"), 80),
        (("body", "tickets", "seat"), 1),
    ):
        message = copy.deepcopy(json.loads(MESSAGES[0]["value"]))
        inner = message
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = value
        yield ".".join(path), message


@pytest.mark.parametrize("golden", MESSAGES, ids=lambda golden: golden["arguments"]["action"])
def test_a_message_goes_out_byte_by_byte_as_agreed(golden: dict[str, Any]) -> None:
    arguments = golden["arguments"]
    assert encode(arguments).decode() == golden["value"]
    assert pool_key(arguments["match_number"], arguments["category"]).decode() == golden["key"]


@pytest.mark.parametrize("action", ["TICKET_PENDING", "TICKET_RESERVED", "TICKET_CANCELLED"])
@pytest.mark.parametrize(("category", "price"), [(1, "75.00"), (2, "125.00"), (3, "195.00")])
@pytest.mark.parametrize("quantity", [1, 2])
def test_the_strictest_partner_accepts_whatever_we_send(action: str, category: int, price: str, quantity: int) -> None:
    value = encode_ticket_message(action, 64, category, quantity, Decimal(price), client_id="matchday")
    STRICT_PARTNER.validate(json.loads(value))
    validator("ticket-sale").validate(json.loads(value))
    assert decode(value, ()).lines[0].quantity == quantity


@pytest.mark.parametrize(("place", "message"), list(changes()), ids=[place for place, _ in changes()])
def test_our_published_schema_is_as_strict_as_the_strictest_partner(place: str, message: Any) -> None:
    assert not STRICT_PARTNER.is_valid(message), place
    assert not validator("ticket-sale").is_valid(message), place


@pytest.mark.parametrize("where", ["meta", "body"])
def test_a_federation_may_have_the_client_id_inside_the_message(where: Literal["meta", "body"]) -> None:
    value = encode(MESSAGES[0]["arguments"], client_id="matchday", client_id_in=where)
    expected = json.loads(MESSAGES[0]["value"])
    expected[where]["clientId"] = "matchday"
    assert json.loads(value) == expected
    assert decode(value, ()).client_id == "matchday"


def test_what_we_add_travels_in_headers_and_is_read_back() -> None:
    sender = Sender("matchday", "headers", "ticket-sales")
    counters = Counters(Pool(12, 2), Decimal(125), [(0, 20)])
    sent = outgoing.message(sender, Action.PENDING, SALE, counters, 2, traceparent=TRACE)
    assert (sent.key, sent.value) == (b"12-2", MESSAGES[0]["value"].encode())
    assert sent.headers == {"clientId": "matchday", "saleId": SALE, "traceparent": TRACE}
    message = decode(sent.value, [(name, value.encode()) for name, value in sent.headers.items()])
    assert (message.client_id, message.sale_id) == ("matchday", SALE)


def headers_of(case: dict[str, Any]) -> Headers:
    return [(name, value.encode()) for name, value in case.get("headers", {}).items()]


def value_of(case: dict[str, Any]) -> bytes:
    return case["raw"].encode() if "raw" in case else json.dumps(case["value"]).encode()


@pytest.mark.parametrize("case", DIALECTS["understood"], ids=lambda case: case["name"])
def test_a_partners_dialect_is_understood(case: dict[str, Any]) -> None:
    message = decode(value_of(case), headers_of(case))
    understood = {
        "action": message.action.value,
        "matchNumber": message.match_number,
        "lines": [[line.category, line.quantity, line.price] for line in message.lines],
        "clientId": message.client_id,
        "saleId": message.sale_id,
    }
    assert {name: understood[name] for name in case["is"]} == case["is"]


@pytest.mark.parametrize("case", DIALECTS["refused"], ids=lambda case: case["name"])
def test_a_wrong_message_is_refused_with_its_reason(case: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        decode(value_of(case), headers_of(case))
    assert refused.value.reason == case["reason"]


@pytest.mark.parametrize("case", DIALECTS["understood"], ids=lambda case: case["name"])
def test_the_lenient_schema_accepts_what_is_understood(case: dict[str, Any]) -> None:
    validator("ticket-sale.lenient").validate(case["value"])


@pytest.mark.parametrize(
    "case", [case for case in DIALECTS["refused"] if "value" in case], ids=lambda case: case["name"]
)
def test_the_lenient_schema_refuses_what_is_refused(case: dict[str, Any]) -> None:
    assert not validator("ticket-sale.lenient").is_valid(case["value"])


@pytest.mark.parametrize("number", ["12", "0000012", "1000000", 12.0])
def test_the_lenient_schema_and_the_reader_agree_on_match_numbers(number: Any) -> None:
    message = {**json.loads(MESSAGES[0]["value"])}
    message["body"]["matchNumber"] = number
    validator("ticket-sale.lenient").validate(message)
    assert decode(json.dumps(message).encode(), ()).match_number == int(number)


@pytest.mark.parametrize("number", ["", "0", "00000012", "1000001", "-1", " 12", "1e1", True, None, [], 1000001])
def test_the_lenient_schema_and_the_reader_refuse_the_same_match_numbers(number: Any) -> None:
    message = {**json.loads(MESSAGES[0]["value"])}
    message["body"]["matchNumber"] = number
    assert not validator("ticket-sale.lenient").is_valid(message)
    with pytest.raises(Refused, match="bad_match_number"):
        decode(json.dumps(message).encode(), ())


def test_the_size_limit_counts_bytes() -> None:
    padded = MESSAGES[0]["value"].encode().ljust(BODY_BYTES_MAX)
    assert decode(padded, ()).match_number == 12
    with pytest.raises(Refused, match="body_too_large"):
        decode(padded + b" ", ())


def test_a_list_has_a_longest_length() -> None:
    def with_lines(count: int) -> bytes:
        tickets = [{"category": 1, "quantity": 1, "price": 75}] * count
        return json.dumps(
            {"meta": {"action": "TICKET_PENDING"}, "body": {"matchNumber": 1, "tickets": tickets}}
        ).encode()

    assert decode(with_lines(LINES_MAX), ()).lines[0].quantity == LINES_MAX
    with pytest.raises(Refused, match="bad_tickets"):
        decode(with_lines(LINES_MAX + 1), ())
