"""What visitors look at: counted when somebody sees it, never with anything that could be somebody's."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.event_outbox import Happening
from shared.http.callers import CALLER_KEY, Account, Caller
from shared.site_events import TEXT_CHARS_MAX, EventKind
from shared.visitors import Visitors
from shop.interest import Interest, searched_text

NOW = datetime(2022, 11, 20, 16, tzinfo=UTC)
BROWSER = {
    "REQUEST_METHOD": "GET",
    "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
    "HTTP_ACCEPT": "*/*",
    "HTTP_ACCEPT_LANGUAGE": "es-EC,es;q=0.9",
    "REMOTE_ADDR": "203.0.113.9",
}
MARIA = Account("a1", "maria@example.com", True, frozenset(), "s1", country="CR", language="es")


class Heard:
    """What was offered."""

    def __init__(self) -> None:
        self.events: list[Happening] = []
        self.interest = Interest(self.offer, Visitors("", ""), lambda: NOW)

    def offer(self, happening: Happening) -> bool:
        self.events.append(happening)
        return True


@pytest.fixture
def heard() -> Heard:
    return Heard()


def test_a_guest_who_looks_at_a_match_has_a_country_and_a_language_and_no_name(heard: Heard) -> None:
    heard.interest.viewed(BROWSER, 7)
    assert heard.events == [
        Happening(EventKind.MATCH_VIEWED, NOW, country="EC", language="es", match_number=7),
    ]


def test_who_is_signed_in_is_told_by_the_account_which_becomes_a_pseudonym(heard: Heard) -> None:
    heard.interest.searched({**BROWSER, CALLER_KEY: Caller("203.0.113.9", MARIA)}, "Ecuador")
    assert heard.events == [
        Happening(EventKind.SEARCHED, NOW, account_id="a1", country="CR", language="es", text="ecuador"),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"REQUEST_METHOD": "HEAD"},
        {"HTTP_USER_AGENT": "Mozilla/5.0 (compatible; Googlebot/2.1)"},
        {"HTTP_USER_AGENT": "curl/8.5"},
        {"HTTP_USER_AGENT": ""},
        {"HTTP_USER_AGENT": "sqlmap/1.8"},
    ],
)
def test_programs_and_questions_for_the_head_alone_are_not_counted(heard: Heard, change: dict[str, Any]) -> None:
    heard.interest.viewed({**BROWSER, **change}, 7)
    heard.interest.searched({**BROWSER, **change}, "Ecuador")
    assert heard.events == []


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("  Costa   RICA ", "costa rica"),
        ("São Paulo\t1A", "são paulo 1a"),
        ("２０２２", "2022"),
        ("maria@example.com", None),
        ("maria＠example.com", None),
        ("+506 8888-1234", None),
        ("4242 4242 4242 4242", None),
        ("(555) 010.9999", None),
        ("   ", None),
        ("x" * 200, "x" * TEXT_CHARS_MAX),
    ],
)
def test_a_search_is_kept_in_one_spelling_unless_it_could_be_somebodys(text: str, kept: str | None) -> None:
    assert searched_text(text) == kept


@given(st.text(max_size=300))
def test_what_is_kept_of_a_search_is_short_and_says_no_address(text: str) -> None:
    kept = searched_text(text)
    assert kept is None or (0 < len(kept) <= TEXT_CHARS_MAX and "@" not in kept)
