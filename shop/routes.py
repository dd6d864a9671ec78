"""HTTP: parse, one use case, answer."""

import orjson
from flask import Response, request

from security.engine.addresses import address_of
from shared import tracing
from shared.errors import DependencyUnavailable, NotFound, Overloaded, TooManyStreams, TooManyStreamsOfAddress
from shared.http import ETAG, Answer, PathNumber, Routes
from shared.http.conditional import conditional_json
from shop import handlers
from shop.domain import Match, find
from shop.handlers import LogNotRead, MessageRefused, TicketMessage
from shop.listings.routes import listing_events, listings
from shop.recommendations.routes import recommendations
from shop.schemas import (
    AvailabilityAnswer,
    MatchAnswer,
    MatchPage,
    MatchQuery,
    MessageApplied,
    MessageHeaders,
    StreamHeaders,
    StreamQuery,
    SuggestionQuery,
    Suggestions,
    ViewHeaders,
    encode_availability,
    encode_cursor,
    encode_match,
    encode_suggestions,
)
from shop.search.domain import scores_of, suggestions
from shop.snapshot import Content
from shop.wiring import Wiring

NOT_CHANGED = {304: Answer("Not changed since the entity tag that was sent", headers=ETAG)}
EVENT_STREAM = "text/event-stream"

__all__ = ["internal", "listing_events", "listings", "matches", "recommendations"]

matches = Routes("matches", "What is played, and what is left of it.")
internal = Routes("internal", "For this site's own services.")


@matches.get("/api/matches", answer=MatchPage, sends=ETAG, also=NOT_CHANGED, raises=[DependencyUnavailable, Overloaded])
def list_matches(wiring: Wiring, query: MatchQuery) -> Response:
    """Matches that fit, sorted, in pages; with `q`, those that fit best first."""
    place, sort = query.place(), query.sorted_by
    content = wiring.snapshots.get()

    def make() -> bytes:
        shown = content.shelf.matches
        scores = None if query.q is None else scores_of(shown, wiring.finder.units(shown, query.q))
        page = find(shown, query.search(scores), sort, place, query.limit)
        cursor = None if page.next_place is None else encode_cursor(page.next_place, sort)
        items = b",".join(_item(wiring, content, match) for match in page.matches)
        return b'{"items":[%s],"nextCursor":%s}' % (items, orjson.dumps(cursor))

    answer = content.answer(query, make)
    if query.q is not None and place is None:
        wiring.interest.searched(request.environ, query.q)
    return conditional_json(answer)


def _item(wiring: Wiring, content: Content, match: Match) -> bytes:
    return content.answer(("match", match.match_number), lambda: encode_match(match, wiring.currency)).body


@matches.get(
    "/api/search/suggestions",
    answer=Suggestions,
    sends=ETAG,
    also=NOT_CHANGED,
    raises=[DependencyUnavailable, Overloaded],
)
def suggest(wiring: Wiring, query: SuggestionQuery) -> Response:
    """Names and matches to offer to who is typing a search."""
    content = wiring.snapshots.get()

    def make() -> bytes:
        shown = content.shelf.matches
        return encode_suggestions(suggestions(shown, wiring.finder.units(shown, query.q), query.limit))

    return conditional_json(content.answer(query, make))


@matches.get(
    "/api/matches/{matchNumber}",
    answer=MatchAnswer,
    sends=ETAG,
    also=NOT_CHANGED,
    raises=[NotFound, DependencyUnavailable],
)
def get_match(wiring: Wiring, match_number: PathNumber, headers: ViewHeaders) -> Response:
    """One match."""
    content, match = wiring.match(match_number)
    if headers.view is None:
        wiring.interest.viewed(request.environ, match_number)
    return conditional_json(content.answer(("match", match_number), lambda: encode_match(match, wiring.currency)))


@matches.get(
    "/api/matches/{matchNumber}/availability",
    answer=AvailabilityAnswer,
    sends=ETAG,
    also=NOT_CHANGED,
    raises=[NotFound, DependencyUnavailable],
)
def get_availability(wiring: Wiring, match_number: PathNumber) -> Response:
    """What is left of one match, by price category, and the place in the log that the numbers include."""
    content, match = wiring.match(match_number)
    as_of = content.shelf.as_of
    return conditional_json(
        content.answer(
            ("availability", match_number),
            lambda: encode_availability(match_number, match.pools, as_of, wiring.currency),
        )
    )


@matches.get(
    "/api/availability/stream",
    answer=Answer("Server-sent events", media_type=EVENT_STREAM),
    raises=[NotFound, TooManyStreams, TooManyStreamsOfAddress, DependencyUnavailable],
)
def follow_availability(wiring: Wiring, address: str, query: StreamQuery, headers: StreamHeaders) -> Response:
    """The same numbers, live, as server-sent events.

    First one event `availability` for each match, then one whenever numbers change, with the categories that have
    changed; its data has the form of `/api/matches/{matchNumber}/availability`. An event `unavailable` says that
    the numbers cannot be known at present; all of them come anew when they can. A comment is sent in silence. Who
    comes back with `Last-Event-ID` gets what was missed.
    """
    pieces = wiring.stream.open(query.match_number, headers.last_event_id, address_of(address).key)
    # Proxies must hand each event on at once.
    return Response(pieces, 200, [("X-Accel-Buffering", "no")], content_type=f"{EVENT_STREAM}; charset=utf-8")


@internal.post(
    "/internal/ticket-messages",
    answer=MessageApplied,
    raises=[MessageRefused, LogNotRead, DependencyUnavailable],
    body_schema={
        "type": "object",
        "description": "A ticket message of the federation, as it would stand in the log.",
        "required": ["meta", "body"],
        "properties": {"meta": {"type": "object"}, "body": {"type": "object"}},
        "example": {
            "meta": {"action": "TICKET_PENDING"},
            "body": {"matchNumber": 12, "tickets": {"category": 2, "quantity": 2, "price": 125}},
        },
    },
)
def take_ticket_message(wiring: Wiring, body: bytes, headers: MessageHeaders) -> MessageApplied:
    """Apply a ticket message that does not come by Kafka.

    It is read as liberally, refused for the same reasons and counts as once as a record of the log. The headers
    stand for the record's headers; `Idempotency-Key` or `messageId` is needed.
    """
    message = TicketMessage(headers.id(), body, headers.record_headers(tracing.traceparent()))
    applied = handlers.apply_message(wiring.database, wiring.federation, message)
    return MessageApplied(message_id=message.message_id, applied=applied)
