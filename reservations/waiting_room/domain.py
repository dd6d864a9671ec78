"""The line before a match: who is where in it, who is let in, whose turn is over. Pure, the clock is an argument.

`step` is what `room.lua` does on Redis, written once more on dictionaries: the model that the script is tested against,
and what the simulation of a rush runs on. All times are µs: of the clock since 1970, of durations as they are.

A place's number is the moment at which it was made, so numbers given after Redis has lost everything are higher than
those given before, and whoever shows an older one stands before whoever came later.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, ClassVar

from shared.errors import Conflict, MatchdayError

SWEEP_MAX = 100  # places that one step removes or lets in at most: the next step goes on
SMOOTHING = 8  # the measured gap between admissions follows the last ones by an eighth
# The longest pause between two questions is below what a room that has lost its line waits for its people.
POLL_SECONDS_MIN, POLL_SECONDS_MAX = 1, 10
MICROSECONDS = 1_000_000


class WaitingRoomClosed(Conflict):
    """This match has a waiting room: take a place in it, and come back when it is admitted"""

    code: ClassVar[str] = "waiting_room"
    retry_after_seconds: ClassVar[int | None] = POLL_SECONDS_MIN
    members: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "places": {"type": "string", "description": "Path at which to take a place."},
        "placeState": {
            "type": "string",
            "enum": ["none", "waiting", "expired", "used", "busy"],
            "description": "How it is with the place that was shown; busy: another request is using it right now.",
        },
    }


class WaitingRoomFull(MatchdayError):
    """As many wait as the waiting room holds"""

    code: ClassVar[str] = "waiting_room_full"
    status: ClassVar[int] = 503
    retry_after_seconds: ClassVar[int | None] = 30


class TooManyPlaces(Conflict):
    """As many guests as may be wait from this address; who signs in with a verified address has a place of his own"""

    code: ClassVar[str] = "too_many_places"


class Mode(StrEnum):
    """off: nobody waits. on: everybody does. auto: everybody does in a rush, and until the line is empty."""

    OFF = "off"
    AUTO = "auto"
    ON = "on"


class Op(StrEnum):
    """What is asked of a room."""

    ENTER = "enter"  # take a place, or find one's own again
    LOOK = "look"  # where does it stand? keeps it alive
    CLAIM = "claim"  # a request wants to hold tickets with it
    SETTLE = "settle"  # that one succeeded
    RELEASE = "release"  # that one failed
    WATCH = "watch"  # how is the room?


class Verdict(IntEnum):
    """What the room says; the numbers are those of the script."""

    WAITING = 0
    ADMITTED = 1
    EXPIRED = 2
    USED = 3
    FULL = 4
    CROWDED = 5
    OPEN = 6  # nobody has to wait at present
    BUSY = 7  # admitted, and another request is using it
    PASSED = 8  # admitted, and this request may use it
    REPEATED = 9  # used by this very request before, which may be repeated
    NONE = 10  # no place was shown


@dataclass(frozen=True, slots=True)
class Terms:
    """How a room works: an admission every `interval` µs, at most `capacity` people inside who have not bought yet.

    `burst`: how much of a pause may be caught up. `absent`: a place for which nobody asks for so long goes.
    `admission`: how long an admission lasts. `settle`: a room that begins (or has lost all) lets nobody in for so long,
    so that those who were there before can show their places. `linger`: an automatic room stays so long after its line
    is empty. `claim`: a request that uses a place has failed after so long. `keep`: used places are known so long.
    """

    interval: int
    capacity: int
    burst: int
    absent: int
    admission: int
    settle: int
    linger: int
    places_max: int
    address_max: int
    claim: int
    keep: int


@dataclass(frozen=True, slots=True)
class Ask:
    """One question. `number`: of the place that is shown. `tag`: what makes a request the same one when repeated.

    `address` is counted when it is not empty. `always_on`: the mode is "on" and not "auto"; `pressed`: there is a rush.
    """

    op: Op
    place_id: str = ""
    number: int = 0
    holder: str = ""
    address: str = ""
    tag: str = ""
    always_on: bool = True
    pressed: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the room says of a place, and how the room is.

    `position`: from 1, 0 for who does not wait. `until`: when the admission ends. `gap`: µs between admissions as
    measured, 0 when nothing is. `opens`: before, nobody is let in.
    """

    verdict: Verdict
    place_id: str
    number: int
    position: int
    until: int
    waiting: int
    inside: int
    is_on: bool
    let_in: int
    expired: int
    gap: int
    opens: int
    now: int


@dataclass(slots=True)
class Room:
    """All that is known of one room."""

    clock: int = 0
    born: int = 0
    opens: int = 0
    next_number: int = 0
    due: int = 0  # when the next admission may be
    gap: int = 0
    last: int = 0  # when somebody was let in last while others waited
    auto_until: int = 0
    line: dict[str, int] = field(default_factory=dict)  # place → number
    seen: dict[str, int] = field(default_factory=dict)  # place that waits → when it was asked for last
    inside: dict[str, int] = field(default_factory=dict)  # place → when its admission ends
    used: dict[str, int] = field(default_factory=dict)  # place → until when that is known
    about: dict[str, tuple[int, str, str]] = field(default_factory=dict)  # place → number, holder, counted address
    holders: dict[str, str] = field(default_factory=dict)  # holder → place
    addresses: Counter[str] = field(default_factory=Counter)
    claims: dict[str, tuple[int, str]] = field(default_factory=dict)  # place → until when, tag
    tags: dict[str, str] = field(default_factory=dict)  # used place → tag


def step(room: Room, terms: Terms, ask: Ask, now: int) -> Answer:
    """Answers one question at `now` µs; what has come due meanwhile is done along with it, a bounded share of it."""
    now = room.clock = max(now, room.clock)
    if room.born == 0:
        room.born, room.opens = now, now + terms.settle
    place_id = _own(room, ask)
    if place_id in room.line:
        room.seen[place_id] = now
    expired = _sweep(room, terms, now)
    is_on = _is_on(room, terms, ask, now)
    refused = _begin(room, terms, ask, place_id, is_on, now)
    let_in = _let_in(room, terms, now) if is_on else 0
    verdict = refused if refused is not None else _verdict(room, terms, ask, place_id, now)
    number = room.about.get(place_id, (ask.number,))[0]
    return Answer(
        verdict, place_id, number, _position(room, place_id), room.inside.get(place_id, 0), len(room.line),
        len(room.inside), is_on, let_in, expired, room.gap, room.opens, now,
    )  # fmt: skip


def _own(room: Room, ask: Ask) -> str:
    """The place that is meant: who enters twice has one."""
    return room.holders.get(ask.holder, ask.place_id) if ask.op is Op.ENTER else ask.place_id


def _sweep(room: Room, terms: Terms, now: int) -> int:
    """Removes what is over, and says how many places were lost by it."""
    absent = _over(room.seen, now - terms.absent)
    ended = _over(room.inside, now)
    for place_id in (*absent, *ended):
        _remove(room, place_id)
    for place_id in _over(room.used, now):
        del room.used[place_id], room.tags[place_id]
    return len(absent) + len(ended)


def _over(moments: dict[str, int], until: int) -> list[str]:
    ordered = sorted((moment, place_id) for place_id, moment in moments.items() if moment <= until)
    return [place_id for _, place_id in ordered[:SWEEP_MAX]]


def _remove(room: Room, place_id: str) -> None:
    for kept in (room.line, room.seen, room.inside, room.claims):
        kept.pop(place_id, None)
    _, holder, address = room.about.pop(place_id, (0, "", ""))
    if room.holders.get(holder) == place_id:
        del room.holders[holder]
    if address:
        room.addresses[address] -= 1
        if room.addresses[address] <= 0:
            del room.addresses[address]


def _is_on(room: Room, terms: Terms, ask: Ask, now: int) -> bool:
    if ask.always_on:
        return True
    if ask.pressed or room.line:
        room.auto_until = max(room.auto_until, now + terms.linger)
    return room.auto_until > now


def _begin(room: Room, terms: Terms, ask: Ask, place_id: str, is_on: bool, now: int) -> Verdict | None:
    """What a question changes before anybody is let in, and the verdict if it is known already."""
    if ask.op is Op.SETTLE:
        _remove(room, place_id)
        room.used[place_id], room.tags[place_id] = now + terms.keep, ask.tag
        return Verdict.USED
    if ask.op is Op.RELEASE:
        if room.claims.get(place_id, (0, ""))[1] == ask.tag:
            room.claims.pop(place_id, None)
        return None
    if not is_on:
        return Verdict.OPEN
    if ask.op is Op.WATCH or not place_id:
        return Verdict.NONE
    if place_id in room.line or place_id in room.inside or place_id in room.used:
        return None
    return _enter(room, terms, ask, place_id, now) if ask.op is Op.ENTER else _rebuild(room, terms, ask, place_id, now)


def _enter(room: Room, terms: Terms, ask: Ask, place_id: str, now: int) -> Verdict | None:
    if refused := _no_room(room, terms, ask):
        return refused
    number = max(now, room.next_number)
    room.next_number = number + 1
    _put(room, ask, place_id, number, now)
    return None


def _no_room(room: Room, terms: Terms, ask: Ask) -> Verdict | None:
    if len(room.line) >= terms.places_max:
        return Verdict.FULL
    if ask.address and room.addresses[ask.address] >= terms.address_max:
        return Verdict.CROWDED
    return None


def _rebuild(room: Room, terms: Terms, ask: Ask, place_id: str, now: int) -> Verdict | None:
    """A place that is older than all that is known was lost with it, and comes back where it was."""
    if ask.number >= room.born:
        return Verdict.EXPIRED
    if refused := _no_room(room, terms, ask):
        return refused
    other = room.holders.get(ask.holder)
    if other is not None:
        if other not in room.line:
            return Verdict.EXPIRED  # its holder has been let in with another one
        _remove(room, other)
    _put(room, ask, place_id, ask.number, now)
    return None


def _put(room: Room, ask: Ask, place_id: str, number: int, now: int) -> None:
    room.line[place_id], room.seen[place_id] = number, now
    room.about[place_id] = (number, ask.holder, ask.address)
    room.holders[ask.holder] = place_id
    if ask.address:
        room.addresses[ask.address] += 1


def _let_in(room: Room, terms: Terms, now: int) -> int:
    room.due = max(room.due, now - terms.burst)
    count = 0
    while count < SWEEP_MAX and room.line and len(room.inside) < terms.capacity and room.due <= now >= room.opens:
        first = min(room.line, key=lambda place_id: (room.line[place_id], place_id))
        del room.line[first], room.seen[first]
        room.inside[first] = now + terms.admission
        room.due += terms.interval
        count += 1
    if count:
        _measure(room, count, now)
    if not room.line:
        room.last = 0
    elif room.last == 0:
        room.last = now
    return count


def _measure(room: Room, count: int, now: int) -> None:
    if room.last > 0:
        observed = (now - room.last) // count
        room.gap = room.gap + (observed - room.gap) // SMOOTHING if room.gap else observed
    room.last = now


def _verdict(room: Room, terms: Terms, ask: Ask, place_id: str, now: int) -> Verdict:
    if place_id in room.line:
        return Verdict.WAITING
    if place_id in room.inside:
        return _claimed(room, terms, ask, place_id, now) if ask.op is Op.CLAIM else Verdict.ADMITTED
    if place_id in room.used:
        repeated = ask.op is Op.CLAIM and room.tags[place_id] == ask.tag
        return Verdict.REPEATED if repeated else Verdict.USED
    return Verdict.EXPIRED


def _claimed(room: Room, terms: Terms, ask: Ask, place_id: str, now: int) -> Verdict:
    until, tag = room.claims.get(place_id, (0, ""))
    if until > now and tag != ask.tag:
        return Verdict.BUSY
    room.claims[place_id] = (now + terms.claim, ask.tag)
    return Verdict.PASSED


def _position(room: Room, place_id: str) -> int:
    if place_id not in room.line:
        return 0
    own = (room.line[place_id], place_id)
    return 1 + sum((number, other) < own for other, number in room.line.items())


def estimate_seconds(answer: Answer, interval: int) -> int:
    """How long a place will have to wait: by the pace that is set, or the slower one that was measured."""
    if answer.position == 0:
        return 0
    pace = max(interval, answer.gap)
    return -(-(max(0, answer.opens - answer.now) + answer.position * pace) // MICROSECONDS)


def poll_seconds(estimate: int) -> int:
    """When to ask again, by the time that there still is to wait."""
    return min(POLL_SECONDS_MAX, max(POLL_SECONDS_MIN, estimate))


def interval_of(rate_per_second: float) -> int:
    """µs between two admissions."""
    return max(1, round(MICROSECONDS / rate_per_second))


@dataclass(frozen=True, slots=True)
class Plan:
    """What an operator has said of a match's room, or the settings for all the others."""

    match_number: int
    mode: Mode
    rate_per_second: float
    capacity: int
