"""What the pages' own scripts ask: parse, one question to a service, answer.

These stand in `/openapi.json`, since they are for programs; what people open, pages and files, does not.
"""

from uuid import UUID

from flask import Response

from client.live import EVENT_STREAM
from client.live import PATH as STREAM
from client.pages import holds, waiting
from client.schemas import HoldStatus, KnownStatus, PlaceStatus, StreamHeaders, StreamQuery
from client.wiring import Wiring
from shared.errors import (
    DependencyUnavailable,
    Forbidden,
    NotFound,
    Overloaded,
    TooManyStreams,
    TooManyStreamsOfAddress,
    Unauthenticated,
)
from shared.http import Answer, PathNumber, Routes

scripts = Routes(
    "scripts", "What the pages' own scripts ask, with the browser's cookies; other front ends ask the services."
)


@scripts.get(
    "/reservations/{reservationId}/status",
    answer=HoldStatus,
    raises=[NotFound, Unauthenticated, Forbidden, Overloaded, DependencyUnavailable],
)
def tell_status(wiring: Wiring, reservation_id: UUID, query: KnownStatus) -> HoldStatus:
    """How a reservation stands that this browser, or its account, has made.

    With `known` the answer comes when the status is another one, or after 25 seconds.
    """
    told = holds.status_of(wiring.visit, reservation_id, query.known)
    return HoldStatus(status=told["status"], expires_at=told["expiresAt"])


@scripts.get(
    "/matches/{matchNumber}/wait/status",
    answer=PlaceStatus,
    raises=[Unauthenticated, Overloaded, DependencyUnavailable],
)
def tell_place(wiring: Wiring, match_number: PathNumber) -> PlaceStatus:
    """Where this browser stands in the line, at once: very many may wait, and each open answer would take a thread."""
    found = waiting.find_place(wiring.visit, match_number)
    if found is None:
        return PlaceStatus(state="none", position=None, poll_seconds=None, estimate=None)
    return PlaceStatus(
        state=found["state"],
        position=found["position"],
        poll_seconds=found["pollSeconds"],
        estimate=waiting.estimate(wiring.visit, found["estimateSeconds"]),
    )


@scripts.get(
    STREAM,
    answer=Answer("Server-sent events", media_type=EVENT_STREAM.partition(";")[0]),
    raises=[NotFound, TooManyStreams, TooManyStreamsOfAddress, Overloaded, DependencyUnavailable],
)
def follow_availability(wiring: Wiring, query: StreamQuery, headers: StreamHeaders) -> Response:
    """The shop's live numbers, handed on as they come; the shop's document tells what they are."""
    pieces = wiring.live.follow(wiring.visit.calls, query.match_number, headers.last_event_id)
    return Response(pieces, 200, [("X-Accel-Buffering", "no")], content_type=EVENT_STREAM)
