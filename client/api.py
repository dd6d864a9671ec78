"""What the pages ask of the services: one function a question, the visit's `Calls` first, JSON as the services give it.

Only public routes, as any front-end team would call them. All raise `Refused`.
"""

from typing import Any

from client.calls import Calls, Json

# The shop


def matches(calls: Calls, query: dict[str, Any]) -> Json:
    """A page of matches: `items` and `nextCursor`; the shop may know who searches."""
    given: Json = calls.get("shop", "/api/matches", query=query, anonymous="q" not in query)
    return given


def match(calls: Calls, number: int) -> Json:
    """One match with its categories, for a page that is not about it."""
    given: Json = calls.get("shop", f"/api/matches/{number}", anonymous=True, headers={"X-View": "no"})
    return given


def viewed_match(calls: Calls, number: int) -> Json:
    """The same for the match's own page: the shop counts it as looked at."""
    given: Json = calls.get("shop", f"/api/matches/{number}")
    return given


def recommendations(calls: Calls, limit: int, within: float) -> bytes:
    """What the visitor may like: the whole answer as it came, within so many seconds."""
    return calls.ask("GET", "shop", "/api/recommendations", query={"limit": limit}, within=within).content


# Reservations; `token` is a guest's, without one the account asks


def hold(calls: Calls, wish: Json, key: str, wait: float, place: str | None = None) -> Json:
    """Holds tickets and waits for the verdict; `place` is the token of one's place in the match's waiting room."""
    path, query, headers = "/api/reservations", {"wait": wait}, {"X-Waiting-Place": place} if place else {}
    given: Json = calls.post("reservations", path, wish, query=query, key=key, waits=wait, headers=headers)
    return given


def reservation(calls: Calls, reservation_id: str, token: str | None, wait: float = 0) -> Json:
    """A reservation; with `wait`, as soon as its status changes, or at once while too many visitors wait."""
    path = f"/api/reservations/{reservation_id}"
    with calls.waiting(wait) as granted:
        query = {"wait": granted} if granted else None
        given: Json = calls.get("reservations", path, query=query, token=token, waits=granted)
    return given


def reservations(calls: Calls, token: str | None, cursor: str | None = None) -> Json:
    """A page of the account's reservations, newest first; or the one of a guest's token."""
    query = {"limit": 20} | ({"cursor": cursor} if cursor else {})
    given: Json = calls.get("reservations", "/api/reservations", query=query, token=token)
    return given


def cancel(calls: Calls, reservation_id: str, token: str | None) -> Json:
    """Gives the tickets back."""
    given: Json = calls.ask("DELETE", "reservations", f"/api/reservations/{reservation_id}", token=token).json
    return given


def tickets(calls: Calls, token: str | None, cursor: str | None = None) -> Json:
    """A page of tickets: all of the account, or those of a guest's reservation."""
    query = {"limit": 50} | ({"cursor": cursor} if cursor else {})
    given: Json = calls.get("reservations", "/api/tickets", query=query, token=token)
    return given


def ticket_file(calls: Calls, ticket_id: str, kind: str, token: str | None) -> bytes:
    """A ticket as `pdf` or its code as `png`."""
    return calls.ask("GET", "reservations", f"/api/tickets/{ticket_id}.{kind}", token=token).content


# Payments


def payment(calls: Calls, reservation_id: str, token: str | None) -> Json:
    """The payment of a reservation with its `clientSecret`; the same one however often it is asked for."""
    given: Json = calls.post("payments", "/api/payments", {"reservationId": reservation_id}, token=token)
    return given


# Accounts


def sign_up(calls: Calls, who: Json, key: str) -> Json:
    given: Json = calls.post("users", "/api/users/signup", who, anonymous=True, key=key)
    return given


def sign_in(calls: Calls, email: str, password: str) -> Json:
    given: Json = calls.post(
        "users", "/api/users/signin", {"email": email, "password": password}, anonymous=True
    )  # fmt: skip
    return given


def refresh(calls: Calls, refresh_token: str) -> Json:
    """The next pair of tokens; the given one is used up."""
    given: Json = calls.post("users", "/api/users/refresh", {"refreshToken": refresh_token}, anonymous=True)
    return given


def sign_out(calls: Calls, refresh_token: str | None) -> None:
    calls.post("users", "/api/users/signout", {"refreshToken": refresh_token} if refresh_token else None)


def me(calls: Calls) -> Json:
    given: Json = calls.get("users", "/api/users/me")
    return given


def change_me(calls: Calls, change: Json) -> Json:
    given: Json = calls.ask("PATCH", "users", "/api/users/me", body=change).json
    return given


def delete_me(calls: Calls) -> None:
    calls.ask("DELETE", "users", "/api/users/me")


def export(calls: Calls) -> Json:
    """All that users knows of the account."""
    given: Json = calls.get("users", "/api/users/me/export")
    return given


def change_password(calls: Calls, current: str, new: str) -> None:
    calls.post("users", "/api/users/me/password", {"currentPassword": current, "newPassword": new})


def sessions(calls: Calls) -> Json:
    given: Json = calls.get("users", "/api/users/me/sessions")
    return given


def end_session(calls: Calls, session_id: str) -> None:
    calls.ask("DELETE", "users", f"/api/users/me/sessions/{session_id}")


def end_other_sessions(calls: Calls) -> None:
    calls.ask("DELETE", "users", "/api/users/me/sessions")


def ask_to_verify(calls: Calls) -> None:
    """Has the mail that verifies the address sent again."""
    calls.post("users", "/api/users/email/verification")


def verify_email(calls: Calls, token: str, password: str | None) -> Json:
    body = {"token": token} | ({"password": password} if password else {})
    given: Json = calls.post("users", "/api/users/email/verify", body)
    return given


def forgot_password(calls: Calls, email: str, key: str) -> None:
    calls.post("users", "/api/users/password/forgotten", {"email": email}, anonymous=True, key=key)


def reset_password(calls: Calls, token: str, password: str) -> None:
    calls.post("users", "/api/users/password/reset", {"token": token, "password": password}, anonymous=True)


# Security


def challenge(calls: Calls) -> Json:
    """A proof of work for the visitor's address."""
    given: Json = calls.get("security", "/api/security/challenge", anonymous=True)
    return given


def earn_pass(calls: Calls, solution: str) -> None:
    """Shows a solution, so that the visit gets its pass. Any request will do; this one is small."""
    calls.get("shop", "/api/matches", query={"limit": 1}, anonymous=True, solution=solution)
