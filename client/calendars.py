"""A match for calendars: RFC 5545, written by the library, which escapes and folds."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from icalendar import Calendar, Event

from client import fixtures
from client.calls import Json
from client.kernel.words import _, language_code

LASTS = timedelta(hours=2)
PRODUCT = "-//Matchday//Pages//EN"


def event(match: Json, public_url: str) -> bytes:
    """A calendar with one event, in UTC, in the visitor's language.

    Its id is the same each time, so that a calendar which has it already takes the new one for a change.
    """
    begins = datetime.fromisoformat(match["dateUtc"]).astimezone(UTC)
    made = Event()
    made.add("uid", f"match-{match['matchNumber']}@{urlsplit(public_url).hostname}")
    made.add("dtstamp", datetime.now(UTC).replace(microsecond=0))
    made.add("dtstart", begins)
    made.add("dtend", begins + LASTS)
    told = _("%(stage)s, match %(number)s", stage=fixtures.stage(match), number=match["matchNumber"])
    spoken = {"language": language_code()}
    made.add("summary", fixtures.pair(match), spoken)
    made.add("location", fixtures.place(match), spoken)
    made.add("description", told, spoken)
    made.add("url", f"{public_url}/matches/{match['matchNumber']}")
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add_component(made)
    return bytes(calendar.to_ical())
