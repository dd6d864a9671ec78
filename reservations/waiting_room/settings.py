"""Settings of the waiting rooms."""

from typing import Literal

from pydantic import Field

from reservations.waiting_room.domain import MICROSECONDS, Mode, Plan, Terms, interval_of
from shared.settings import Settings

BURST_SECONDS = 1.0
CLAIM_SECONDS = 120.0  # longer than any purchase
KEEP_SECONDS = 600.0
RATE_MAX = 1000
CAPACITY_MAX = 100_000


class WaitingRoomSettings(Settings):
    """How waiting rooms work."""

    waiting_rooms: Literal["off", "auto"] = Field(
        "off", description="Matches of which no operator has said anything: never a waiting room, or one in a rush."
    )
    waiting_room_rate: float = Field(
        20, ge=0.1, le=RATE_MAX, description="Admissions a second, where no operator says otherwise."
    )
    waiting_room_capacity: int = Field(
        500, ge=1, le=CAPACITY_MAX, description="Most people who are admitted and have not held tickets yet."
    )
    waiting_room_absent_seconds: float = Field(
        30, ge=20, le=3600, description="A place for which nobody asks for so long is lost."
    )
    waiting_room_admission_seconds: float = Field(
        120, ge=1, le=3600, description="How long who is admitted has to hold tickets."
    )
    waiting_room_settle_seconds: float = Field(
        12,
        ge=0,
        le=60,
        description="A room that begins, or has lost its line with Redis, lets nobody in so long.",
    )
    waiting_room_linger_seconds: float = Field(
        60, ge=1, le=3600, description="An automatic room closes so long after its line was empty."
    )
    waiting_room_places_max: int = Field(100_000, ge=1, le=10_000_000, description="Places in one room.")
    waiting_room_address_places_max: int = Field(
        50, ge=1, le=100_000, description="Places in one room of guests behind one address."
    )
    waiting_room_auto_requests: int = Field(
        64, ge=1, le=100_000, description="Holds of a match in one process at once that bring an automatic room."
    )
    waiting_room_auto_wait_seconds: float = Field(
        1.0, gt=0, le=60, description="Wait in the queue of submits that brings one for the match with most of them."
    )
    waiting_room_without_redis: Literal["closed", "open"] = Field(
        "closed", description="While Redis is away, rooms that were in use refuse (503) or let everybody pass."
    )

    def plan(self, match_number: int) -> Plan:
        """For a match of which no operator has said anything."""
        return Plan(match_number, Mode(self.waiting_rooms), self.waiting_room_rate, self.waiting_room_capacity)

    def terms(self, plan: Plan) -> Terms:
        """How a room with this plan works."""
        return Terms(
            interval=interval_of(plan.rate_per_second),
            capacity=plan.capacity,
            burst=_us(BURST_SECONDS),
            absent=_us(self.waiting_room_absent_seconds),
            admission=_us(self.waiting_room_admission_seconds),
            settle=_us(self.waiting_room_settle_seconds),
            linger=_us(self.waiting_room_linger_seconds),
            places_max=self.waiting_room_places_max,
            address_max=self.waiting_room_address_places_max,
            claim=_us(CLAIM_SECONDS),
            keep=_us(KEEP_SECONDS),
        )


def _us(seconds: float) -> int:
    return round(seconds * MICROSECONDS)
