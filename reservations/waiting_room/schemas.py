"""The JSON of waiting rooms."""

import time
from typing import Literal, Self
from uuid import UUID

from pydantic import Field

from reservations.waiting_room.domain import MICROSECONDS, Mode
from reservations.waiting_room.handlers import RoomState, Standing
from reservations.waiting_room.settings import CAPACITY_MAX, RATE_MAX
from reservations.waiting_room.tokens import TOKEN_LONGEST
from shared.http import AnswerModel, BodyModel, HeadersModel, IdempotencyHeaders

VISIBLE = r"^[!-~]+$"


class BuyerHeaders(IdempotencyHeaders):
    """For a POST that holds tickets."""

    waiting_place: str | None = Field(
        None,
        alias="X-Waiting-Place",
        pattern=VISIBLE,
        max_length=TOKEN_LONGEST,
        description="The `token` of an admitted place, where the match has a waiting room.",
    )


class VisitorHeaders(BuyerHeaders):
    """For taking a place."""

    visitor: str | None = Field(
        None,
        alias="X-Waiting-Visitor",
        pattern=VISIBLE,
        max_length=100,
        description="A guest's `visitor`, as it was given with a place before; browsers have it as a cookie.",
    )


class PlaceHeaders(HeadersModel):
    """For following a place."""

    waiting_place: str | None = Field(
        None, alias="X-Waiting-Place", pattern=VISIBLE, max_length=TOKEN_LONGEST, description="The place's `token`."
    )


class RoomWanted(BodyModel):
    """How a match's waiting room shall be."""

    mode: Mode = Field(description="off: never. on: always. auto: in a rush, until the line is empty.", strict=False)
    rate_per_second: float | None = Field(None, ge=0.1, le=RATE_MAX, description="Admissions; null: WAITING_ROOM_RATE.")
    capacity: int | None = Field(
        None, ge=1, le=CAPACITY_MAX, description="Most people admitted who have not held yet; null: the setting's."
    )


class RoomAnswer(AnswerModel):
    """How a match's waiting room is."""

    match_number: int
    mode: Mode
    open: bool = Field(description="Whether tickets of this match are held without waiting at present.")
    waiting: int = Field(description="Places in the line.")
    admitted: int = Field(description="People who were let in and have not held tickets yet.")
    estimate_seconds: int = Field(description="How long somebody who comes now would wait.")
    rate_per_second: float
    capacity: int

    @classmethod
    def of(cls, state: RoomState) -> Self:
        """The room as anybody sees it."""
        plan = state.plan
        return cls(
            match_number=plan.match_number,
            mode=plan.mode,
            open=not state.is_on,
            waiting=state.waiting,
            admitted=state.inside,
            estimate_seconds=state.estimate_seconds,
            rate_per_second=plan.rate_per_second,
            capacity=plan.capacity,
        )


class Rooms(AnswerModel):
    """The rooms of which operators have said something."""

    items: list[RoomAnswer]
    next_cursor: None = None


class PlaceAnswer(AnswerModel):
    """A place in the line."""

    id: UUID
    match_number: int
    state: Literal["waiting", "admitted", "expired", "used"] = Field(
        description="waiting → admitted → used by a hold, or expired. In an open room everybody is admitted."
    )
    position: int = Field(description="From 1; 0 for who does not wait.")
    estimate_seconds: int = Field(description="Until the admission, as far as can be told.")
    poll_seconds: int = Field(description="Ask again after so long; who does not ask for a while loses the place.")
    admitted_seconds: int | None = Field(description="How long an admission still lasts; null: no limit, or none.")
    waited_seconds: int = Field(description="Since the place was taken.")
    token: str | None = Field(
        description="Sent as X-Waiting-Place, by this buyer alone. Given when it is taken; none while the room is open."
    )
    visitor: str | None = Field(None, description="A guest's, sent as X-Waiting-Visitor where there are no cookies.")

    @classmethod
    def of(cls, match_number: int, standing: Standing, token: str | None = None, visitor: str | None = None) -> Self:
        """The place as its owner sees it."""
        return cls(
            id=UUID(standing.place_id),
            match_number=match_number,
            state=standing.state,  # type: ignore[arg-type]
            position=standing.position,
            estimate_seconds=standing.estimate_seconds,
            poll_seconds=standing.poll_seconds,
            admitted_seconds=standing.admitted_seconds,
            waited_seconds=max(0, int(time.time() - standing.number / MICROSECONDS)) if standing.number else 0,
            token=token,
            visitor=visitor,
        )
