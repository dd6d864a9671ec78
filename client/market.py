"""What the pages of the gate, of resale and of waiting rooms ask of the services; habits as in `api.py`."""

from typing import Any

from client.calls import Calls, Json

# The gate


def verify(calls: Calls, scan: Json, key: str) -> Json:
    """Admits somebody with a ticket; the same key for the same scan is answered the same."""
    given: Json = calls.post("reservations", "/api/tickets/verify", scan, key=key)
    return given


# Resale


def listings(calls: Calls, query: dict[str, Any]) -> Json:
    """A page of what is offered: `items` and `nextCursor`."""
    given: Json = calls.get("shop", "/api/listings", query=query, anonymous=True)
    return given


def listing(calls: Calls, listing_id: str) -> Json:
    """One listing that is offered now."""
    given: Json = calls.get("shop", f"/api/listings/{listing_id}", anonymous=True)
    return given


def hold_listing(calls: Calls, listing_id: str, wish: Json, key: str) -> Json:
    """Locks a listing for the visitor; a reservation that is held at once."""
    given: Json = calls.post("reservations", f"/api/resale/listings/{listing_id}/hold", wish, key=key)
    return given


def ticket(calls: Calls, ticket_id: str) -> Json:
    """One ticket of the account, with the highest price that it may be offered for."""
    given: Json = calls.get("reservations", f"/api/tickets/{ticket_id}")
    return given


def own_listings(calls: Calls, cursor: str | None) -> Json:
    """A page of all that the account has ever offered, newest first."""
    query = {"limit": 50} | ({"cursor": cursor} if cursor else {})
    given: Json = calls.get("reservations", "/api/resale/listings/mine", query=query)
    return given


def offer(calls: Calls, ticket_id: str, price: float, key: str) -> Json:
    """Offers a ticket; `price` is in major units."""
    body = {"ticketId": ticket_id, "price": price}
    given: Json = calls.post("reservations", "/api/resale/listings", body, key=key)
    return given


def reprice(calls: Calls, listing_id: str, price: float) -> Json:
    """Another price, in major units."""
    path = f"/api/resale/listings/{listing_id}"
    given: Json = calls.ask("PATCH", "reservations", path, body={"price": price}).json
    return given


def withdraw(calls: Calls, listing_id: str) -> Json:
    """Takes a listing off the market."""
    given: Json = calls.ask("DELETE", "reservations", f"/api/resale/listings/{listing_id}").json
    return given


def payouts(calls: Calls, cursor: str | None) -> Json:
    """A page of what the account gets for tickets that it has sold, newest first."""
    query = {"limit": 50} | ({"cursor": cursor} if cursor else {})
    given: Json = calls.get("payments", "/api/payouts", query=query)
    return given


# Waiting rooms


def room(calls: Calls, number: int) -> Json:
    """Whether a match has a waiting room at present, and how long the line is."""
    given: Json = calls.get("reservations", f"/api/waiting-rooms/{number}", anonymous=True)
    return given


def take_place(calls: Calls, number: int, token: str | None, visitor: str | None, key: str) -> Json:
    """A place in the line, or one's own again."""
    headers = {"X-Waiting-Place": token} if token else {}
    headers |= {"X-Waiting-Visitor": visitor} if visitor else {}
    path = f"/api/waiting-rooms/{number}/places"
    given: Json = calls.post("reservations", path, key=key, headers=headers)
    return given


def place(calls: Calls, number: int, token: str) -> Json:
    """Where a place stands; asking keeps it."""
    path = f"/api/waiting-rooms/{number}/places/{token.split('.')[1]}"
    given: Json = calls.get("reservations", path, headers={"X-Waiting-Place": token})
    return given
