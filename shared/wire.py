"""Ticket messages as they travel in the sales log: strict in what is sent, liberal in what is read.

The JSON that goes out has no key beyond what the strictest partner accepts; everything this product adds travels in
record headers. `decode` understands every dialect seen from partners and refuses the rest with a reason code that is
the same at every site, since it depends on the bytes alone.
"""

import functools
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal, NamedTuple

import orjson

BODY_BYTES_MAX = 65_536
QUANTITY_MAX = 2
MATCH_NUMBER_MAX = 1_000_000
LINES_MAX = 64
SHOWN_CHARS_MAX = 40
CLIENT_ID_MAX = 64
REMEMBERED_BYTES_MAX = 512
REMEMBERED_BODIES_MAX = 4096
SALE_ID = re.compile(r"[!-~]{1,64}")

ClientIdIn = Literal["headers", "meta", "body"]
Headers = Sequence[tuple[str, bytes | None]]


class RawRecord(NamedTuple):
    """A record as the broker gave it; the client's own records, which have the same names, stand for it as they are.

    `timestamp` is in milliseconds, the broker's or the sender's, as the topic is set.
    """

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Action(StrEnum):
    """What happened to the tickets of a sale."""

    PENDING = "TICKET_PENDING"
    RESERVED = "TICKET_RESERVED"
    CANCELLED = "TICKET_CANCELLED"


ACTIONS = {action.value: action for action in Action}


class Refused(Exception):
    """A record that no site applies; `reason` is a stable code, `detail` one sentence for an operator."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Line(NamedTuple):
    """Tickets of one category; `price` is what the sender wrote (major units a ticket), None when it wrote none."""

    category: int
    quantity: int
    price: float | None


class TicketMessage(NamedTuple):
    """One understood record. Lines name each category once; the message counts whole or not at all."""

    action: Action
    match_number: int
    lines: tuple[Line, ...]
    client_id: str | None
    sale_id: str | None


def pool_key(match_number: int, category: int) -> bytes:
    """The record key, which also chooses the partition: one pool, one total order."""
    return b"%d-%d" % (match_number, category)


def encode_ticket_message(
    action: str,
    match_number: int,
    category: int,
    quantity: int,
    price: Decimal,
    *,
    client_id: str | None = None,
    client_id_in: ClientIdIn = "headers",
) -> bytes:
    """The JSON of one message: strict partners accept these keys and no other.

    `client_id` is copied into the JSON only when the federation wants it there (`client_id_in`).
    """
    number = int(price) if price == price.to_integral_value() else float(price)
    meta: dict[str, Any] = {"action": str(action)}
    tickets = {"category": category, "quantity": quantity, "price": number}
    body: dict[str, Any] = {"matchNumber": match_number, "tickets": tickets}
    if client_id is not None and client_id_in != "headers":
        {"meta": meta, "body": body}[client_id_in]["clientId"] = client_id
    return orjson.dumps({"meta": meta, "body": body})


def decode(value: bytes | None, headers: Headers, quantity_max: int = QUANTITY_MAX) -> TicketMessage:
    """The message in a record, or `Refused`. Says nothing about the catalogue: that is the counters' matter."""
    found = dict(reversed(headers))  # of headers with the same name the first counts
    client = found.get("clientId")
    # Partners send a few hundred different bodies again and again: the small ones are understood once.
    if value is not None and len(value) <= REMEMBERED_BYTES_MAX and (client is None or len(client) <= CLIENT_ID_MAX):
        message = _understand_once(value, client, quantity_max)
    else:
        message = _understand(value, client, quantity_max)
    sale = found.get("saleId")
    if sale is None or (sale_id := _text(sale)) is None or not SALE_ID.fullmatch(sale_id):
        return message
    return TicketMessage(message.action, message.match_number, message.lines, message.client_id, sale_id)


def _text(value: bytes | None) -> str | None:
    try:
        return value.decode() if value else None
    except UnicodeDecodeError:
        return None


def _understand(value: bytes | None, client: bytes | None, quantity_max: int) -> TicketMessage:
    """The message, but for its sale id; `client` is the header clientId."""
    document = _document(value)
    meta, body = document.get("meta"), document.get("body")
    action = _action(meta)
    if not isinstance(body, dict):
        raise Refused("bad_tickets", "the message has no body object")
    match_number = _match_number(body.get("matchNumber"))
    lines = _lines(body.get("tickets"), quantity_max)
    assert isinstance(meta, dict)  # it has an action
    places = (_text(client), meta.get("clientId"), body.get("clientId"), body.get("id"), document.get("clientId"))
    found = next((str(place) for place in places if type(place) in (str, int) and place != ""), None)
    return TicketMessage(action, match_number, lines, None if found is None else _client_id(found), None)


_understand_once = functools.lru_cache(REMEMBERED_BODIES_MAX)(_understand)


def _client_id(found: str) -> str:
    return found.replace("\x00", "")[:CLIENT_ID_MAX]


def _document(value: bytes | None) -> dict[str, Any]:
    if not value:
        raise Refused("not_json", "the record is empty")
    if len(value) > BODY_BYTES_MAX:
        raise Refused("body_too_large", f"{len(value)} bytes, at most {BODY_BYTES_MAX} are read")
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise Refused("not_json", str(error)) from None
    if not isinstance(document, dict):
        raise Refused("not_json", "the record is not a JSON object")
    return document


def _action(meta: Any) -> Action:
    name = meta.get("action") if isinstance(meta, dict) else None
    if name is None:
        raise Refused("no_action", "meta.action is missing")
    action = ACTIONS.get(name) if isinstance(name, str) else None
    if action is None:
        raise Refused("unknown_action", f"meta.action is {shown(name)}")
    return action


def shown(value: Any) -> str:
    """What was given, for an operator's eyes: short, and of what has parts only its kind, however deep it goes."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return repr(str(value)[:SHOWN_CHARS_MAX])


def _match_number(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 7:
        value = int(value)
    number = value if type(value) is int else whole_number(value)
    if number is None or not 0 < number <= MATCH_NUMBER_MAX:
        raise Refused("bad_match_number", f"body.matchNumber is {shown(value)}")
    return number


def whole_number(value: Any) -> int | None:
    """A JSON number without a fraction (2 and 2.0 are the same number), else None."""
    if type(value) is int:
        return value
    return int(value) if type(value) is float and value.is_integer() else None


def _lines(tickets: Any, quantity_max: int) -> tuple[Line, ...]:
    if isinstance(tickets, dict):
        return (_line(tickets, quantity_max),)
    if not isinstance(tickets, list) or not 0 < len(tickets) <= LINES_MAX:
        raise Refused("bad_tickets", f"body.tickets is neither an object nor a list of 1 to {LINES_MAX}")
    return _merge(_line(ticket, quantity_max) for ticket in tickets)


def _line(ticket: Any, quantity_max: int) -> Line:
    if not isinstance(ticket, dict):
        raise Refused("bad_tickets", "a ticket is not an object")
    # The plain int comes first: this is run for every record of the log.
    quantity = given if type(given := ticket.get("quantity")) is int else whole_number(given)
    if quantity is None or not 0 < quantity <= quantity_max:
        wanted = f"a whole number from 1 to {quantity_max}"
        raise Refused("bad_quantity", f"quantity is {shown(given)}, expected {wanted}")
    category = given if type(given := ticket.get("category")) is int else whole_number(given)
    if category is None:
        raise Refused("unknown_category", f"category is {shown(given)}")
    price = ticket.get("price")
    return Line(category, quantity, price if type(price) in (int, float) else None)


def _merge(lines: Iterable[Line]) -> tuple[Line, ...]:
    merged: dict[int, Line] = {}
    for line in lines:
        seen = merged.get(line.category)
        merged[line.category] = line if seen is None else _sum(seen, line)
    return tuple(merged.values())


def _sum(first: Line, second: Line) -> Line:
    price = first.price if first.price == second.price else None
    return Line(first.category, first.quantity + second.quantity, price)


def header(headers: Headers, name: str) -> str | None:
    """The first header of that name as text, or None when it is absent, empty or not UTF-8."""
    return _text(dict(reversed(headers)).get(name))
