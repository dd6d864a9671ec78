"""Parts of the pages that need no site: sessions that are renewed once, cookies, calendars, how matches are told."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import pytest
from icalendar import Calendar

from client import calendars, fixtures
from client.calls import Calls, Json, Lines, Refused, Sender
from client.kernel.cookies import HOLDS_MAX, Jar
from client.kernel.forms import check_csrf, read_form
from client.kernel.sessions import Renewals
from shared.errors import BadRequest, CsrfFailed, UnsupportedMediaType
from shared.writing import Writing
from tests.fake_api import match_of, pool_of

FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("share", "told"),
    [
        (0, "0%"), (0.000_001, "0.01%"), (0.000_4, "0.04%"), (0.0099, "0.99%"), (0.01, "1%"), (0.853, "85%"),
        (0.99, "99%"), (0.995, "99.5%"), (0.999_999, "99.99%"), (1, "100%"),
    ],
)  # fmt: skip
def test_a_little_is_not_told_as_nothing_and_nearly_all_not_as_all(share: float, told: str) -> None:
    class English(Writing):
        code = "en"

    assert English().percent(share) == told


def test_tabs_that_are_opened_together_renew_a_session_once() -> None:
    renewals, asked, go = Renewals(), [], threading.Event()

    def ask(token: str) -> Json:
        asked.append(token)
        go.wait(10)
        return {"accessToken": f"after {token}"}

    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(renewals.renew, "a", ask) for _ in range(8)]
        go.set()
        assert {each.result(10)["accessToken"] for each in waiting} == {"after a"}
    assert asked == ["a"]
    assert renewals.renew("b", ask) == {"accessToken": "after b"}


def test_a_session_that_ended_stays_ended_and_one_that_nobody_could_look_up_is_tried_again() -> None:
    renewals, answers = Renewals(), [Refused("dependency_unavailable", 503, {}), Refused("unauthenticated", 401, {})]
    asked: list[str] = []

    def ask(token: str) -> Json:
        asked.append(token)
        raise answers.pop(0)

    for status in (503, 401, 401):
        with pytest.raises(Refused) as refused:
            renewals.renew("a", ask)
        assert refused.value.status == status
    assert len(asked) == 2


def test_a_browser_keeps_the_youngest_of_a_guests_reservations() -> None:
    jar = Jar({}, secure=True)
    for number in range(HOLDS_MAX + 3):
        jar.keep_hold(f"{number:08}-0000-4000-8000-000000000000.{'s' * 43}")
    assert len(jar.holds()) == HOLDS_MAX
    assert "00000002-0000-4000-8000-000000000000" not in jar.holds()
    (written,) = [value for _, value in jar.headers()]
    assert len(written) < 4096
    for attribute in ("Secure", "HttpOnly", "SameSite=Lax"):
        assert attribute in written


@pytest.mark.parametrize("text", ["a\r\nX-Evil: 1", "\x00", "é", "\u202e", "a" * 3801])
def test_a_cookie_that_could_not_be_ours_is_none(text: str) -> None:
    # A cookie in quotes may hold any character; ours go on to the services in headers.
    jar = Jar({"matchday_pass": text, "matchday_holds": text}, secure=True)
    assert jar.get("matchday_pass") is None
    assert jar.holds() == {}
    assert Jar({"matchday_pass": "a.b-c_d~e"}, secure=True).get("matchday_pass") == "a.b-c_d~e"


@pytest.mark.parametrize("member", ["key", "solution", "token"])
@pytest.mark.parametrize("text", ["a\r\nX-Evil: 1", "é", "\u202e"])
def test_a_field_that_cannot_stand_in_a_header_is_the_senders_mistake(member: str, text: str) -> None:
    class Nobody(Lines):
        def __init__(self) -> None:
            """No connections."""

        def request(self, *args: object, **options: object) -> NoReturn:
            raise AssertionError("nothing may be sent")

    with pytest.raises(Refused) as refused:
        Calls(Nobody(), Sender("127.0.0.1", {})).post("shop", "/", {}, **{member: text})
    assert (refused.value.code, refused.value.status) == ("bad_request", 400)


@pytest.mark.parametrize("fetch_site", ["cross-site", "same-site"])
def test_a_form_that_another_site_sends_is_refused_even_with_the_token(fetch_site: str) -> None:
    form = read_form(b"csrf=token", FORM)
    check_csrf(form, "token", "same-origin")
    check_csrf(form, "token", None)
    with pytest.raises(CsrfFailed):
        check_csrf(form, "token", fetch_site)
    for wrong in (None, "other"):
        with pytest.raises(CsrfFailed):
            check_csrf(form, wrong, "same-origin")


def test_only_forms_are_read() -> None:
    assert read_form(b"a=%C3%A9&b=", FORM).values == {"a": "é", "b": ""}
    with pytest.raises(UnsupportedMediaType):
        read_form(b"{}", "application/json")
    for raw in (b"\xff=1", b"a=%00", b"&".join(b"a=1" for _ in range(300))):
        with pytest.raises(BadRequest):
            read_form(raw, FORM)


@pytest.mark.parametrize(
    ("name", "told"),
    [("Qatar", "Qatar"), ("1A", "Winner of group A"), ("2B", "Second of group B"), ("W49", "Winner of match 49"),
     ("L61", "Loser of match 61"), ("TBA", "To be announced"), ("3C", "3C")],
)  # fmt: skip
def test_places_without_a_team_are_told_by_what_decides_them(name: str, told: str) -> None:
    assert fixtures.team(name) == told


def test_a_match_is_as_available_as_its_best_category() -> None:
    match = match_of(1, "sold_out", "temporarily_unavailable")
    assert fixtures.status(match) == "temporarily_unavailable"
    match["categories"].append(pool_of(3))
    assert fixtures.status(match) == "available"
    assert fixtures.status({**match, "categories": []}) == "sold_out"


def test_a_calendar_has_the_match_in_utc_and_survives_commas_and_lines() -> None:
    match = match_of(1) | {"homeTeam": "One, two; three\\four", "location": "A\nB" * 40}
    raw = calendars.event(match, "https://tickets.example")
    assert all(len(line) <= 75 for line in raw.split(b"\r\n")), "lines are folded"
    (event,) = Calendar.from_ical(raw.decode()).events
    assert str(event["summary"]) == "One, two; three\\four – Côte d'Ivoire & co"
    assert b"DTSTART:20221120T190000Z" in raw
    assert event["uid"] == "match-1@tickets.example"
    assert b"\r\nB" not in raw.replace(b"\r\nBEGIN", b"")


def test_a_pair_of_a_page_is_marked_up_name_by_name_and_escaped() -> None:
    match = match_of(1) | {"homeTeam": "<b>", "awayTeam": "قطر"}
    assert fixtures.teams(match) == "<bdi>&lt;b&gt;</bdi> – <bdi>قطر</bdi>"
    assert fixtures.pair(match) == "<b> – قطر"
