"""What the admins' pages ask of the services; see `api.py`. All raise `Refused`."""

from collections.abc import Mapping
from typing import Any

from client.calls import Calls, Json

MATCHES_MAX = 200
GROUPS_MAX = 1000
COUNTRIES_MAX = 30


def _given(query: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value not in (None, "")}


# The consumer


def lag(calls: Calls) -> Json:
    found: Json = calls.get("log", "/api/lag")
    return found


def sales(calls: Calls, bucket: str, limit: int) -> Json:
    """What was sold in the last buckets, by this site and by others."""
    found: Json = calls.get("log", "/api/sales", query={"bucket": bucket, "limit": limit})
    return found


def refused(calls: Calls, cursor: str, reason: str, replayed: str) -> Json:
    query = _given({"cursor": cursor, "reason": reason, "replayed": replayed, "limit": 50})
    found: Json = calls.get("log", "/api/refused", query=query, anonymous=True)
    return found


def replay(calls: Calls, refused_id: int) -> None:
    calls.post("log", f"/api/refused/{refused_id}/replay")


def evidence(calls: Calls, cursor: str, kind: str) -> Json:
    query = _given({"cursor": cursor, "kind": kind, "limit": 50})
    found: Json = calls.get("log", "/api/evidence", query=query, anonymous=True)
    return found


def pools(calls: Calls) -> Json:
    """All matches with their categories."""
    found: Json = calls.get("shop", "/api/matches", query={"limit": MATCHES_MAX}, anonymous=True)
    return found


# Analytics


def bookings(calls: Calls, group: str) -> Json:
    """What all sites sold, by this group."""
    found: Json = calls.get("analytics", "/api/statistics/bookings", query={"groupBy": group, "limit": GROUPS_MAX})
    return found


def revenue(calls: Calls) -> Json:
    found: Json = calls.get("analytics", "/api/statistics/revenue")
    return found


def countries(calls: Calls) -> Json:
    found: Json = calls.get("analytics", "/api/statistics/countries", query={"limit": COUNTRIES_MAX})
    return found


def forecasts(calls: Calls) -> Json:
    found: Json = calls.get("analytics", "/api/statistics/forecasts")
    return found


def drift(calls: Calls) -> Json:
    found: Json = calls.get("analytics", "/api/statistics/drift", query={"limit": 50})
    return found


# Security


def decisions(calls: Calls, query: Mapping[str, Any]) -> Json:
    found: Json = calls.get("security", "/api/security/audit", query={"limit": 50, **_given(query)})
    return found


def statistics(calls: Calls, hours: int) -> Json:
    found: Json = calls.get("security", "/api/security/statistics", query={"hours": hours})
    return found


def entries(calls: Calls, cursor: str) -> Json:
    """A page of the block and allow lists."""
    found: Json = calls.get("security", "/api/security/lists", query={"limit": 100, **_given({"cursor": cursor})})
    return found


def add_entry(calls: Calls, entry: Json, key: str) -> None:
    calls.post("security", "/api/security/lists", entry, key=key)


def remove_entry(calls: Calls, entry_id: str) -> None:
    calls.ask("DELETE", "security", f"/api/security/lists/{entry_id}")


def actions(calls: Calls, query: Mapping[str, Any]) -> Json:
    """What admins changed, the latest first."""
    found: Json = calls.get("security", "/api/admin/audit", query={"limit": 50, **_given(query)})
    return found


# Money


def payments(calls: Calls, query: Mapping[str, Any]) -> Json:
    found: Json = calls.get("payments", "/api/payments", query={"limit": 30, **_given(query)})
    return found


def refunds(calls: Calls, payment_id: str) -> Json:
    found: Json = calls.get("payments", f"/api/payments/{payment_id}/refunds")
    return found


def refund(calls: Calls, payment_id: str, amount: int | None, reason: str, key: str) -> Json:
    """Gives back a part of a payment, in minor units, or what is left of it."""
    body: Json = {"reason": reason} | ({} if amount is None else {"amount": amount})
    given: Json = calls.post("payments", f"/api/payments/{payment_id}/refunds", body, key=key)
    return given


def ledger(calls: Calls) -> Json:
    found: Json = calls.get("payments", "/api/ledger")
    return found


def payouts(calls: Calls, status: str, cursor: str) -> Json:
    query = {"limit": 50, **_given({"status": status, "cursor": cursor})}
    found: Json = calls.get("payments", "/api/payments/payouts", query=query)
    return found


def pay_out(calls: Calls, payout_id: str, note: str) -> None:
    """A seller has been paid."""
    calls.post("payments", f"/api/payments/payouts/{payout_id}/paid", {"note": note} if note else {})


# Resale


def listings(calls: Calls, query: Mapping[str, Any]) -> Json:
    """What anybody has ever offered, newest first."""
    found: Json = calls.get("reservations", "/api/resale/listings", query={"limit": 50, **_given(query)})
    return found


def end_listing(calls: Calls, listing_id: str, note: str) -> None:
    """Takes a listing off the market."""
    calls.post("reservations", f"/api/resale/listings/{listing_id}/end", {"note": note})


# People


def accounts(calls: Calls, query: Mapping[str, Any]) -> Json:
    found: Json = calls.get("users", "/api/users/accounts", query={"limit": 50, **_given(query)})
    return found


def set_roles(calls: Calls, account_id: str, roles: list[str]) -> None:
    calls.ask("PUT", "users", f"/api/users/accounts/{account_id}/roles", body={"roles": roles})


def reauthenticate(calls: Calls, password: str) -> Json:
    """An access token that shows that the password was given just now."""
    given: Json = calls.post("users", "/api/users/me/reauthentication", {"password": password})
    return given


# Waiting rooms


def waiting_rooms(calls: Calls) -> Json:
    found: Json = calls.get("reservations", "/api/waiting-rooms")
    return found


def set_waiting_room(calls: Calls, number: int, wanted: Json) -> None:
    calls.ask("PUT", "reservations", f"/api/waiting-rooms/{number}", body=wanted)
