"""What the services answer to an admin's pages, for `FakeApi`."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fake_api import FakeApi, answer

Json = dict[str, Any]
PAYMENT, REFUND, PERSON, ENTRY, PAYOUT, OFFER = (str(uuid.uuid4()) for _ in range(6))
NOW = datetime(2022, 11, 20, 12, tzinfo=UTC)
AT = NOW.isoformat()
EVIL = "<script>alert(1)</script>"

SALES: Json = {
    "since": (NOW - timedelta(hours=48)).isoformat(),
    "until": AT,
    "items": [
        {"start": (NOW - timedelta(hours=5)).isoformat(), "own": 30, "partners": 12},
        {"start": (NOW - timedelta(hours=2)).isoformat(), "own": 0, "partners": 7},
    ],
    "sites": [
        {"clientId": "matchday", "own": True, "tickets": 30},
        {"clientId": EVIL, "own": False, "tickets": 19},
        {"clientId": "", "own": False, "tickets": 1},
    ],
    "nextCursor": None,
}
LAG: Json = {"state": "consuming", "items": [{"partition": 0, "nextOffset": 5, "endOffset": 9, "lag": 4}]}
REFUSED: Json = {
    "id": 7, "topic": "sales", "partition": 0, "offset": 12, "timestamp": AT, "key": None, "value": EVIL,
    "valueBase64": "", "headers": [], "reason": "unknown_match", "detail": "match 99", "refusedAt": AT,
    "replayedAt": None,
}  # fmt: skip
EVIDENCE: Json = {
    "id": 1, "kind": "over_committed", "partition": 0, "offset": 3, "clientId": None, "saleId": None,
    "matchNumber": 3, "category": 2, "quantity": 2, "detail": "free 0", "seenAt": AT,
}  # fmt: skip
DECISION: Json = {
    "id": 1, "at": AT, "firstAt": AT, "count": 3, "verdict": "block", "reason": "listed", "service": "shop",
    "rateClass": "read", "method": "GET", "route": "/api/matches", "address": "192.0.2.1", "holder": "192.0.2.1",
    "accountId": None, "passId": None, "signals": [], "requestId": "r-1",
}  # fmt: skip
LISTED: Json = {
    "id": ENTRY, "kind": "block", "network": "198.51.100.0/24", "accountId": None, "reason": EVIL,
    "createdBy": "operator", "createdAt": AT, "expiresAt": None,
}  # fmt: skip
PAID: Json = {
    "id": PAYMENT, "reservationId": str(uuid.uuid4()), "status": "succeeded", "amount": 25_000, "received": 25_000,
    "refunded": 1_050, "currency": "USD", "email": "ada@example.org", "accountId": None, "intentId": "pi_1",
    "chargeId": "ch_1", "outcome": "reserved", "outcomeReason": None, "failure": None, "expiresAt": AT, "createdAt": AT,
}  # fmt: skip
BACK: Json = {
    "id": REFUND, "paymentId": PAYMENT, "amount": 1_050, "currency": "USD", "reason": "goodwill",
    "status": "succeeded", "failureReason": None, "createdAt": AT,
}  # fmt: skip
BOOKS: Json = {
    "items": [
        {"account": "stripe", "currency": "USD", "amount": 25_000},
        {"account": "sales", "currency": "USD", "amount": -25_000},
    ],
    "unbalanced": 0,
}
OWED: Json = {
    "id": PAYOUT, "listingId": str(uuid.uuid4()), "status": "due", "price": 8_000, "fee": 400, "amount": 7_600,
    "currency": "USD", "createdAt": AT, "paidAt": None,
}  # fmt: skip
OFFERED: Json = {
    "id": OFFER, "ticketId": str(uuid.uuid4()), "matchNumber": 3, "category": 2, "status": "open", "reason": None,
    "price": 82.5, "amount": 8_250, "faceAmount": 7_500, "currency": "USD", "createdAt": AT, "changedAt": AT,
    "version": 1, "bySite": False, "sellerId": PERSON, "sellerEmail": EVIL, "heldBy": None, "endedBy": None,
    "note": None,
}  # fmt: skip
ENDED: Json = {"status": "ended", "reason": "by_admin", "endedBy": PERSON, "note": EVIL, "version": 2}
BEN: Json = {
    "id": PERSON, "email": "ben@example.org", "emailVerified": False, "roles": ["buyer", "gate"], "country": None,
    "language": None, "createdAt": AT,
}  # fmt: skip
ROOM: Json = {
    "matchNumber": 3, "mode": "on", "open": False, "waiting": 120, "admitted": 5, "estimateSeconds": 12,
    "ratePerSecond": 10, "capacity": 100,
}  # fmt: skip
DONE: Json = {
    "number": 1, "id": str(uuid.uuid4()), "at": AT, "service": "payments", "operation": "createRefund",
    "method": "POST", "path": f"/api/payments/{PAYMENT}/refunds", "accountId": PERSON, "email": "ada@example.org",
    "address": "127.0.0.1", "requestId": "r-1", "request": '{"amount":1050}', "status": 201, "endedAt": AT,
}  # fmt: skip
BASIS: Json = {"asOf": {"log": [{"partition": 0, "nextOffset": 4711}], "events": []}, "synthetic": True}
BOOKED: Json = {
    "key": "total", "capacity": 200, "messages": 90, "holds": 80, "sold": 61, "cancelled": 9, "sellThrough": 0.305,
    "holdsTied": 60, "conversion": 0.75,
}  # fmt: skip
# What analytics counts, by `groupBy`.
GROUPS: dict[str, list[Json]] = {
    "total": [BOOKED],
    "pool": [
        {**BOOKED, "key": "3-1", "sellThrough": 0.5}, {**BOOKED, "key": "10-2", "sellThrough": 1.05},
        {**BOOKED, "key": "10-1", "sellThrough": None},
    ],
    "hourOfDay": [{**BOOKED, "key": "07", "sold": 17}],
    "site": [BOOKED | {"key": EVIL}, BOOKED | {"key": "", "conversion": None}],
}  # fmt: skip
MONEY: Json = {"key": "total", "currency": "USD", "paid": 25_000, "refunded": 1_050, "partners": 333_300}
VISITORS: Json = {
    "key": "BR", "views": 40, "holds": 6, "sold": 4, "cancelled": 2, "reservations": 3, "conversion": 0.66,
}  # fmt: skip
OUTLOOK: Json = {
    "matchNumber": 3, "category": 2, "capacity": 20, "sold": 12, "outlook": "forecast", "earliest": AT, "likely": AT,
    "latest": None, "kickOff": AT, "beforeKickOff": 0.83,
}  # fmt: skip
DRIFTED: Json = {
    "kind": "oversold", "site": EVIL, "records": 2, "tickets": 3, "firstAt": AT, "lastAt": AT,
    "evidence": [
        {"partition": 0, "offset": 99, "loggedAt": AT, "saleId": None, "matchNumber": 3, "category": 2, "quantity": 2,
         "beyond": 2},
    ],
}  # fmt: skip
# Where each list of the admins' pages comes from.
LISTS: dict[str, list[Json]] = {
    "/api/refused": [REFUSED, {**REFUSED, "id": 8, "replayedAt": AT}],
    "/api/evidence": [EVIDENCE],
    "/api/security/audit": [DECISION],
    "/api/security/lists": [LISTED],
    "/api/security/statistics": [{"hour": AT, "rateClass": "read", "verdict": "block", "reason": "listed", "count": 3}],
    "/api/payments": [PAID],
    f"/api/payments/{PAYMENT}/refunds": [BACK],
    "/api/payments/payouts": [OWED],
    "/api/resale/listings": [OFFERED],
    "/api/users/accounts": [BEN],
    "/api/waiting-rooms": [ROOM],
    "/api/admin/audit": [DONE, {**DONE, "number": 2, "email": None, "status": None, "request": None}],
}


def busy(*, empty: bool = False) -> FakeApi:
    """Services with something to administrate, or with nothing."""
    fake = FakeApi()
    for path, items in LISTS.items():
        fake.answers[("GET", path)] = answer({"items": [] if empty else items, "nextCursor": None})
    figures: dict[str, list[Json]] = {
        "revenue": [MONEY], "countries": [VISITORS, VISITORS | {"key": "", "conversion": None}],
        "forecasts": [OUTLOOK, {**OUTLOOK, "category": 1, "outlook": "unknown"}], "drift": [DRIFTED],
    }  # fmt: skip
    for name, items in figures.items():
        fake.answers["GET", f"/api/statistics/{name}"] = answer({**BASIS, "items": [] if empty else items})
    fake.answers["GET", "/api/statistics/bookings"] = lambda request: answer(
        {**BASIS, "items": [] if empty else GROUPS[request.url.params["groupBy"]]}
    )
    sales = {**SALES, "items": [], "sites": []} if empty else SALES
    fake.answers |= {
        ("GET", "/api/sales"): answer(sales),
        ("GET", "/api/lag"): answer({**LAG, "items": []} if empty else LAG),
        ("GET", "/api/ledger"): answer({"items": [], "unbalanced": 0} if empty else BOOKS),
    }
    return fake
