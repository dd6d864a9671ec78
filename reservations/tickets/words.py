"""What printed tickets and letters say of a match, in the buyer's language."""

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from reservations.languages import N_, Tongue
from reservations.tickets.domain import Fixture
from shared import names

NAME_CHARS_MAX = 60
# The names that `shared.masterlist` gives.
STAGES = (
    N_("Group stage"),
    N_("Round of 16"),
    N_("Quarter-finals"),
    N_("Semi-finals"),
    N_("Third place"),
    N_("Final"),
)
GROUP = N_("Group {group}")
MATCH = N_("Match {number}")
BY_THE_STADIUMS_CLOCKS = N_("{day}, {time} local time")
IN_UTC = N_("{day}, {time} UTC")
SAME_DAY_IN_UTC = N_("({time} UTC)")
OTHER_DAY_IN_UTC = N_("({day}, {time} UTC)")


def teams(tongue: Tongue, fixture: Fixture) -> str:
    """Both teams on one line; for a place that nobody has yet, what will decide it."""
    home, away = (short(names.team(tongue.code, name)) for name in (fixture.home_team, fixture.away_team))
    return f"{home} – {away}"


def place(tongue: Tongue, fixture: Fixture) -> str:
    """Stadium and city."""
    return names.place(tongue.code, short(fixture.stadium), fixture.city)


def stage(tongue: Tongue, fixture: Fixture) -> str:
    """The group, or the stage; as the master list names it when that is none of the usual ones."""
    if fixture.group:
        return tongue.say(GROUP, group=fixture.group)
    return tongue.say(fixture.stage) if fixture.stage in STAGES else fixture.stage


def kick_off(tongue: Tongue, moment: datetime, zone: str | None) -> list[str]:
    """The lines of the moment: by the stadium's clocks, then in UTC; in UTC alone where nobody knows those."""
    local = _local(moment, zone)
    day, time = tongue.day(moment), tongue.clock(moment)
    if local is None:
        return [tongue.say(IN_UTC, day=day, time=time)]
    utc = SAME_DAY_IN_UTC if local.date() == moment.date() else OTHER_DAY_IN_UTC
    here = {"day": tongue.day(moment, zone), "time": tongue.clock(moment, zone)}
    return [tongue.say(BY_THE_STADIUMS_CLOCKS, **here), tongue.say(utc, day=day, time=time)]


def _local(moment: datetime, zone: str | None) -> datetime | None:
    try:
        return moment.astimezone(ZoneInfo(zone)) if zone else None
    except ZoneInfoNotFoundError:
        return None


def short(name: str) -> str:
    """A name of a length that leaves room for the others."""
    return name if len(name) <= NAME_CHARS_MAX else f"{name[: NAME_CHARS_MAX - 1]}…"
