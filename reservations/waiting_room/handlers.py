"""Use cases of the waiting room: take a place, follow it, hold tickets with it, open and close the room."""

import contextlib
import hashlib
import secrets
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import structlog

from reservations.handlers import Site
from reservations.waiting_room import plans
from reservations.waiting_room.domain import (
    MICROSECONDS,
    Answer,
    Ask,
    Mode,
    Op,
    Plan,
    TooManyPlaces,
    Verdict,
    WaitingRoomClosed,
    WaitingRoomFull,
    estimate_seconds,
    interval_of,
    poll_seconds,
)
from reservations.waiting_room.plans import Plans
from reservations.waiting_room.pressure import Pressure
from reservations.waiting_room.settings import WaitingRoomSettings
from reservations.waiting_room.store import RedisRooms
from reservations.waiting_room.tokens import Place, Tokens, holder_of
from security.engine.addresses import address_of
from shared import metrics
from shared.errors import DependencyUnavailable, Forbidden, NotFound
from shared.http import Caller
from shop.inventory.catalogue import find_match

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.5  # between two looks of a request that waits for its place
CLOSED_SECONDS = 0.5  # an automatic room that was closed is taken for closed so long, unless there is a rush
STATES = {
    Verdict.WAITING: "waiting",
    Verdict.EXPIRED: "expired",
    Verdict.USED: "used",
    Verdict.BUSY: "busy",
    Verdict.NONE: "none",
    # Only where a place comes back that was lost with Redis.
    Verdict.FULL: "expired",
    Verdict.CROWDED: "expired",
}
PASSING = frozenset({Verdict.PASSED, Verdict.REPEATED})
ENDING = frozenset({Op.SETTLE, Op.RELEASE})


@dataclass(frozen=True, slots=True)
class Standing:
    """How it is with a place: `state` waiting, admitted, expired or used; seconds until something may change."""

    place_id: str
    state: str
    position: int
    estimate_seconds: int
    poll_seconds: int
    admitted_seconds: int | None
    number: int


@dataclass(frozen=True, slots=True)
class RoomState:
    """How a room is."""

    plan: Plan
    is_on: bool
    waiting: int
    inside: int
    estimate_seconds: int


class WaitingRooms:
    """All waiting rooms of the site, as one process serves them."""

    def __init__(
        self,
        site: Site,
        settings: WaitingRoomSettings,
        rooms: RedisRooms,
        tokens: Tokens,
        pressure: Pressure,
        waiting_max: int,
    ) -> None:
        """At most `waiting_max` requests wait for their place at once; others are answered at once."""
        self.tokens = tokens
        self._site = site
        self._settings = settings
        self._rooms = rooms
        self._pressure = pressure
        self._plans = Plans(site.database, settings.plan)
        self._threads = threading.BoundedSemaphore(waiting_max)
        self._stopping = threading.Event()
        # Of automatic rooms: until when they are taken for closed, and which were in use when seen last.
        self._closed_until: dict[int, float] = {}
        self._in_use: set[int] = set()

    def stop(self) -> None:
        """Lets everybody go who waits."""
        self._stopping.set()

    def close(self) -> None:
        """Ends the connections."""
        self._rooms.close()

    # -- places

    def enter(self, match_number: int, caller: Caller, visitor_id: str, shown: Place | None) -> Standing:
        """The caller's place, taken if there is none yet; `shown` is one that the caller has a token of.

        Raises `WaitingRoomFull`, `TooManyPlaces`, `DependencyUnavailable`.
        """
        if shown is not None:
            standing = self.look(match_number, caller, shown)
            if standing.state in ("waiting", "admitted"):
                return standing
        ask = Ask(Op.ENTER, str(uuid.uuid4()), holder=holder_of(caller.account, visitor_id), address=_counted(caller))
        return self._standing(match_number, ask, self._ask(match_number, ask))

    def look(self, match_number: int, caller: Caller, place: Place) -> Standing:
        """Where a place stands now. Raises what `enter` raises."""
        ask = Ask(Op.LOOK, place.id, place.number, place.holder, _counted(caller))
        return self._standing(match_number, ask, self._ask(match_number, ask))

    def follow(self, match_number: int, caller: Caller, place: Place, seconds: float) -> Standing:
        """Where a place stands once it does not wait any more, or when the time is over."""
        standing = self.look(match_number, caller, place)
        if not seconds or standing.state != "waiting" or not self._threads.acquire(blocking=False):
            return standing
        try:
            until = time.monotonic() + seconds
            while standing.state == "waiting" and (left := until - time.monotonic()) > 0:
                if self._stopping.wait(min(LOOK_SECONDS, left)):
                    break
                standing = self.look(match_number, caller, place)
        finally:
            self._threads.release()
        return standing

    def opened(self, match_number: int, token: str | None, caller: Caller) -> Place:
        """The place of a token. Raises `Forbidden`."""
        place = self._read(match_number, token, caller)
        if place is None:
            raise Forbidden("X-Waiting-Place is no place of yours in this waiting room")
        return place

    def known(self, match_number: int, token: str | None, caller: Caller) -> Place | None:
        """The place of a token if it is a good one."""
        return self._read(match_number, token, caller)

    def _read(self, match_number: int, token: str | None, caller: Caller) -> Place | None:
        now_us = int(self._site.clock.now().timestamp() * MICROSECONDS)
        return None if token is None else self.tokens.read(match_number, token, caller, now_us)

    # -- holding

    @contextlib.contextmanager
    def passage(self, match_number: int, token: str | None, caller: Caller, scope: str) -> Iterator["Passage"]:
        """Lets a request pass that holds tickets of the match: at once where nobody waits, else with an admitted place.

        `scope` is the same for a request that is repeated, empty for one that cannot be. A request that says of its
        passage that it was `used` has used up the place; any other end leaves it to be used again while it lasts.
        Raises `WaitingRoomClosed`, `DependencyUnavailable`.
        """
        if self._plans.of(match_number).mode is Mode.OFF:
            yield Passage()
            return
        self._pressure.begin(match_number)
        try:
            ask = self._claim(match_number, token, caller, scope)
            passage = Passage()
            try:
                yield passage
            finally:
                if ask is not None and not passage.is_undecided:
                    self._end(match_number, ask, passage.is_used)
        finally:
            self._pressure.end(match_number)

    def _claim(self, match_number: int, token: str | None, caller: Caller, scope: str) -> Ask | None:
        place = self._read(match_number, token, caller)
        tag = hashlib.sha256(scope.encode()).hexdigest()[:16] if scope else secrets.token_hex(8)
        ask = Ask(Op.CLAIM, tag=tag, address=_counted(caller))
        if place is not None:
            ask = replace(ask, place_id=place.id, number=place.number, holder=place.holder)
        answer = self._ask(match_number, ask)
        if answer is None or answer.verdict in PASSING:
            return ask if answer is not None and answer.verdict is Verdict.PASSED else None
        metrics.WAITING_ROOM_PLACES.labels("refused").inc()
        raise WaitingRoomClosed(
            "take a place, and send it as X-Waiting-Place when it is admitted",
            places=f"/api/waiting-rooms/{match_number}/places",
            placeState=STATES[answer.verdict],
        )

    def _end(self, match_number: int, claim: Ask, used: bool) -> None:
        ask = replace(claim, op=Op.SETTLE if used else Op.RELEASE)
        try:
            self._ask(match_number, ask)
        except DependencyUnavailable as error:
            # The tickets are held, or not, whatever becomes of the place; a claim ends by itself.
            log.warning("place_not_ended", place_id=claim.place_id, used=used, error=str(error))
            return
        if used:
            metrics.WAITING_ROOM_PLACES.labels("used").inc()

    # -- rooms

    def state(self, match_number: int) -> RoomState:
        """How a match's room is. Raises `DependencyUnavailable`."""
        plan = self._plans.of(match_number)
        answer = self._ask(match_number, Ask(Op.WATCH))
        if answer is None or not answer.is_on:
            return RoomState(plan, False, 0, 0, 0)
        behind = replace(answer, position=answer.waiting + 1) if answer.waiting else answer
        estimate = estimate_seconds(behind, interval_of(plan.rate_per_second))
        return RoomState(plan, True, answer.waiting, answer.inside, estimate)

    def states(self) -> Sequence[RoomState]:
        """All rooms of which operators have said something, by match."""
        with self._site.database.transaction() as connection:
            matches = sorted(plans.read_plans(connection))
        return [self.state(match_number) for match_number in matches]

    def change(self, plan: Plan, changed_by: str) -> RoomState:
        """Opens, closes or changes a room; counts in every process within a second. Raises `NotFound`."""
        with self._site.database.transaction() as connection:
            if find_match(connection, plan.match_number) is None:
                raise NotFound(f"there is no match {plan.match_number}")
            plans.write_plan(connection, plan, changed_by, self._site.clock.now())
        self._plans.forget()
        self._closed_until.pop(plan.match_number, None)
        log.info(
            "waiting_room_changed",
            match_number=plan.match_number,
            mode=plan.mode.value,
            rate_per_second=plan.rate_per_second,
            capacity=plan.capacity,
            changed_by=changed_by,
        )
        return self.state(plan.match_number)

    # -- asking

    def _ask(self, match_number: int, ask: Ask) -> Answer | None:
        """What the room says; None when nobody has to wait. Raises `DependencyUnavailable`."""
        plan = self._plans.of(match_number)
        pressed = plan.mode is Mode.AUTO and self._pressure.is_high(match_number)
        closed = plan.mode is Mode.AUTO and self._closed_until.get(match_number, 0) > time.monotonic()
        # What began in a room that was in use ends in it, though it has closed meanwhile.
        if ask.op not in ENDING and (plan.mode is Mode.OFF or (closed and not pressed)):
            return None
        ask = replace(ask, always_on=plan.mode is Mode.ON, pressed=pressed)
        try:
            answer = self._rooms.ask(match_number, self._settings.terms(plan), ask)
        except DependencyUnavailable:
            if self._settings.waiting_room_without_redis == "open" or not self._was_in_use(plan):
                return None
            raise
        self._note(plan, answer)
        return answer if answer.is_on or ask.op in ENDING else None

    def _was_in_use(self, plan: Plan) -> bool:
        return plan.mode is Mode.ON or plan.match_number in self._in_use

    def _note(self, plan: Plan, answer: Answer) -> None:
        number = plan.match_number
        if plan.mode is Mode.AUTO:
            self._note_use(number, answer.is_on)
        if answer.let_in:
            metrics.WAITING_ROOM_PLACES.labels("admitted").inc(answer.let_in)
        if answer.expired:
            metrics.WAITING_ROOM_PLACES.labels("expired").inc(answer.expired)
        if answer.is_on or number in self._in_use:
            metrics.WAITING_ROOM_WAITING.labels(str(number)).set(answer.waiting)
            metrics.WAITING_ROOM_INSIDE.labels(str(number)).set(answer.inside)

    def _note_use(self, match_number: int, is_on: bool) -> None:
        if is_on:
            self._closed_until.pop(match_number, None)
            if match_number not in self._in_use:
                log.info("waiting_room_opened", match_number=match_number)
            self._in_use.add(match_number)
            return
        if match_number in self._in_use:
            log.info("waiting_room_closed", match_number=match_number)
        self._in_use.discard(match_number)
        if len(self._closed_until) >= 10_000:  # matches that somebody made up
            self._closed_until.clear()
        self._closed_until[match_number] = time.monotonic() + CLOSED_SECONDS

    def _standing(self, match_number: int, ask: Ask, answer: Answer | None) -> Standing:
        if answer is None:
            # A place that was never in a line gets no number, so that none can be collected before there is one.
            return Standing(ask.place_id, "admitted", 0, 0, 1, None, ask.number)
        if answer.verdict is Verdict.FULL:
            raise WaitingRoomFull(f"{answer.waiting} wait")
        if answer.verdict is Verdict.CROWDED:
            raise TooManyPlaces
        estimate = estimate_seconds(answer, interval_of(self._plans.of(match_number).rate_per_second))
        state = "admitted" if answer.verdict is Verdict.ADMITTED else STATES[answer.verdict]
        left = max(0, answer.until - answer.now) // MICROSECONDS if state == "admitted" else None
        poll = poll_seconds(estimate)
        if ask.op is Op.ENTER and ask.place_id == answer.place_id:
            metrics.WAITING_ROOM_PLACES.labels("taken").inc()
        return Standing(answer.place_id, state, answer.position, estimate, poll, left, answer.number)


@dataclass(slots=True)
class Passage:
    """How a request that was let through ended."""

    is_used: bool = False
    is_undecided: bool = False

    def used(self) -> None:
        """Tickets are held."""
        self.is_used = True

    def undecided(self) -> None:
        """Nobody knows yet; only the same request may go on with the place for a while."""
        self.is_undecided = True


def _counted(caller: Caller) -> str:
    """The address that a place counts for: a guest's, and that of an account that anybody can make."""
    if caller.account is not None and caller.account.email_verified:
        return ""
    return address_of(caller.address).key
