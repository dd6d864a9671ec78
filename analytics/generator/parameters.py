"""The model's numbers, all in one place; docs/analytics.md says what they stand for."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

CLIENT_ID_PREFIX = "synthetic-"


@dataclass(frozen=True, slots=True)
class Parameters:
    """How many buyers there are and how they behave. Shares are of 1, times in the unit their names end with."""

    buyers: int = 1_000
    weeks: float = 6.0  # from the first sale to the first kick-off
    phases: int = 3  # evenly spread over the weeks; each puts a part of every pool on sale
    # Client ids and which share of the buyers goes there. The first is this site: its events are told.
    sites: tuple[tuple[str, float], ...] = (
        ("synthetic-home", 0.6),
        ("synthetic-atlas", 0.25),
        ("synthetic-kiosk", 0.15),
    )
    offered_per_buyer: float = 1.8  # tickets on offer; never more of a pool than the master list has
    currency: str = "USD"

    # Who they are
    guest_share: float = 0.25
    tourist_share: float = 0.35  # there for some days; the others who travel come for their team
    resident_share: float = 0.7  # of the buyers from the host country; they are there all the time
    host_country: str = "QA"
    stay_days: float = 9.0
    circles: int = 8  # hidden groups of friends with the same teams, whatever country they are from
    circle_teams: int = 4

    # What they like, in the exponent of a choice
    appeal_weight: float = 1.6  # what everybody likes: teams of renown, the late rounds
    home_weight: float = 3.2  # the own country's team
    region_weight: float = 0.9  # teams of the own region
    circle_weight: float = 2.4  # the teams of one's circle
    favourite_weight: float = 2.6  # one more team, drawn for each buyer
    stage_weight: float = 1.2
    near_weight: float = 1.4  # of a stadium close to where one stays, times how little one likes to travel
    near_km: float = 12.0
    stay_weight: float = 3.0  # of a match within a tourist's stay

    # What they do
    visits_mean: float = 2.6
    visits_max: int = 9
    rush_share: float = 0.5  # of the visits, in the first days of a phase
    rush_hours: float = 30.0
    opening_share: float = 0.6  # of the rush, in its first minutes
    opening_minutes: float = 1.5
    hour_spread: float = 2.0  # hours around a buyer's own
    looks_mean: float = 3.2  # matches looked at in a visit
    looks_max: int = 12
    look_seconds: float = 40.0
    search_share: float = 0.4
    buy_share: float = 0.55  # of the visits, for a match that is liked as well as the best
    price_weight: float = 3.0
    pair_share: float = 0.6  # of two tickets rather than one
    second_choice_share: float = 0.6  # goes for another category or match when nothing is left

    # What becomes of a hold
    log_seconds: float = 3.0  # from the submit to its place in the log, mean
    hold_seconds: float = 600.0
    cancelled_share: float = 0.05
    abandoned_share: float = 0.09
    think_seconds: float = 110.0
    decline_share: float = 0.09
    tries_max: int = 3

    # What becomes of a ticket
    refund_share: float = 0.03
    resale_share: float = 0.05
    resale_sold_share: float = 0.6
    resale_released_share: float = 0.4  # of what is not sold: somebody holds it for a while and does not pay
    resale_premium: float = 1.1
    repriced_share: float = 0.3
    later_days: float = 5.0

    def __post_init__(self) -> None:
        if not all(client_id.startswith(CLIENT_ID_PREFIX) for client_id, _ in self.sites):
            raise ValueError(f"the client ids of synthetic sites begin with {CLIENT_ID_PREFIX}")
        if self.buyers < 1 or self.weeks <= 0 or self.phases < 1:
            raise ValueError("buyers, weeks and phases are above 0")


SIZES: Mapping[str, Parameters] = MappingProxyType(
    {"small": Parameters(buyers=1_000), "large": Parameters(buyers=20_000)}
)
