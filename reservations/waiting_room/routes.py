"""HTTP of waiting rooms: parse, one use case, answer."""

from uuid import UUID

from flask import Response, request

from reservations.schemas import Wait
from reservations.waiting_room.domain import Plan, TooManyPlaces, WaitingRoomFull
from reservations.waiting_room.schemas import (
    PlaceAnswer,
    PlaceHeaders,
    RoomAnswer,
    Rooms,
    RoomWanted,
    VisitorHeaders,
)
from reservations.wiring import Wiring
from shared.errors import DependencyUnavailable, Forbidden, NotFound
from shared.http import LOCATION, Caller, PathNumber, Routes, json_answer, roles

VISITOR_COOKIE = "matchday_visitor"
VISITOR_SECONDS = 86_400
OPERATORS = roles("admin", services=True)  # by its role alone, so that each change is in the audit log

waiting_rooms = Routes("waiting rooms", "Where buyers wait when more come than the site can serve.")


@waiting_rooms.get("/api/waiting-rooms", answer=Rooms, access=roles("admin"), raises=[DependencyUnavailable])
def list_waiting_rooms(wiring: Wiring) -> Rooms:
    """All rooms of which operators have said something."""
    return Rooms(items=[RoomAnswer.of(state) for state in wiring.rooms.states()])


@waiting_rooms.get("/api/waiting-rooms/{matchNumber}", answer=RoomAnswer, raises=[DependencyUnavailable])
def get_waiting_room(wiring: Wiring, match_number: PathNumber) -> RoomAnswer:
    """Whether a match has a waiting room at present, and how long the line is."""
    return RoomAnswer.of(wiring.rooms.state(match_number))


@waiting_rooms.put(
    "/api/waiting-rooms/{matchNumber}",
    answer=RoomAnswer,
    access=roles("admin", services=True),
    raises=[NotFound, DependencyUnavailable],
)
def set_waiting_room(wiring: Wiring, caller: Caller, match_number: PathNumber, body: RoomWanted) -> RoomAnswer:
    """Open or close a match's waiting room, or let it open by itself in a rush.

    For accounts with the role admin, and with the service token. Counts in all processes within a second; who waits
    keeps the place.
    """
    usual = wiring.settings.plan(match_number)
    rate = body.rate_per_second or usual.rate_per_second
    plan = Plan(match_number, body.mode, rate, body.capacity or usual.capacity)
    return RoomAnswer.of(wiring.rooms.change(plan, "service" if caller.account is None else caller.account.id))


@waiting_rooms.post(
    "/api/waiting-rooms/{matchNumber}/places",
    answer=PlaceAnswer,
    status=201,
    sends=LOCATION,
    raises=[WaitingRoomFull, TooManyPlaces, DependencyUnavailable],
)
def take_place(wiring: Wiring, caller: Caller, match_number: PathNumber, headers: VisitorHeaders) -> Response:
    """Take a place in the line, or get one's own again: an account has one, and so has a guest's browser.

    Send the `token` of a place that you have, too, so that it is found again whatever happened here. Where nobody has
    to wait the place is admitted at once.
    """
    rooms, credential = wiring.rooms, headers.visitor or request.cookies.get(VISITOR_COOKIE)
    visitor = rooms.tokens.visitor(credential, caller, headers.idempotency_key)
    shown = rooms.known(match_number, headers.waiting_place, caller)
    standing = rooms.enter(match_number, caller, visitor.id, shown)
    token = headers.waiting_place
    if shown is None or shown.id != standing.place_id:
        token = rooms.tokens.place(match_number, standing.place_id, standing.number, caller, visitor.id)
    if not standing.number:
        token = None
    sent = [("Location", f"/api/waiting-rooms/{match_number}/places/{standing.place_id}")]
    if caller.account is None:
        sent.append(("Set-Cookie", _cookie(wiring, visitor.credential)))
    credential = visitor.credential if caller.account is None else None
    return json_answer(PlaceAnswer.of(match_number, standing, token, credential), 201, sent)


def _cookie(wiring: Wiring, credential: str) -> str:
    secure = "; Secure" if wiring.settings.environment == "prod" else ""
    attributes = f"Path=/; Max-Age={VISITOR_SECONDS}; HttpOnly; SameSite=Lax{secure}"
    return f"{VISITOR_COOKIE}={credential}; {attributes}"


@waiting_rooms.get(
    "/api/waiting-rooms/{matchNumber}/places/{placeId}",
    answer=PlaceAnswer,
    raises=[NotFound, Forbidden, TooManyPlaces, WaitingRoomFull, DependencyUnavailable],
)
def follow_place(
    wiring: Wiring, caller: Caller, match_number: PathNumber, place_id: UUID, query: Wait, headers: PlaceHeaders
) -> PlaceAnswer:
    """Where a place stands; with `?wait=` the answer comes when its turn has come, or when the time is over.

    Needs the place's token as `X-Waiting-Place`. A place for which nobody asks for a while is lost, so ask again after
    `pollSeconds`. When many wait by `?wait=` the answer comes at once.
    """
    place = wiring.rooms.opened(match_number, headers.waiting_place, caller)
    if place.id != str(place_id):
        raise Forbidden("X-Waiting-Place is another place's")
    return PlaceAnswer.of(match_number, wiring.rooms.follow(match_number, caller, place, query.wait))
