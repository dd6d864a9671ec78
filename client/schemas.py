"""The HTTP models of what the pages' scripts ask."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from shared.http import AnswerModel, HeadersModel, QueryModel
from shared.http.models import PATH_INT_MAX

Status = Literal["submitted", "held", "reserved", "cancelled", "expired", "lost"]


class KnownStatus(QueryModel):
    """What the script knows."""

    known: Status | None = Field(None, description="Answer when the status is another, or after some seconds.")


class HoldStatus(AnswerModel):
    """How a reservation stands."""

    status: Status
    expires_at: datetime | None = Field(description="When the hold ends unless it is paid.")


class PlaceStatus(AnswerModel):
    """How a place in the line stands; all but the state is null without one."""

    state: Literal["none", "waiting", "admitted", "expired", "used"] = Field(
        description="`none`: this browser has no place that counts."
    )
    position: int | None = Field(description="From 1; 0 for who does not wait.")
    poll_seconds: int | None = Field(description="Ask again after so long; who does not ask loses the place.")
    estimate: str | None = Field(description="How long it takes, in words of the page's language.")


class StreamQuery(QueryModel):
    """Which matches are followed."""

    match_number: int | None = Field(None, ge=1, le=PATH_INT_MAX, description="Only this match.")


class StreamHeaders(HeadersModel):
    """Sent by browsers when they connect again."""

    last_event_id: str | None = Field(None, alias="Last-Event-ID", max_length=100)
