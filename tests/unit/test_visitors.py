"""Where a visitor is from: the profile, else the browser, else a proxy that is trusted."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.http.callers import Account
from shared.visitors import Visitor, Visitors, country_of, spoken

PROXY = {"REMOTE_ADDR": "10.0.0.7", "HTTP_CF_IPCOUNTRY": "CR"}
VISITORS = Visitors("CF-IPCountry", "10.0.0.0/8")


@pytest.mark.parametrize(
    ("header", "country", "language"),
    [
        ("es-CR,es;q=0.9", "CR", "es"),
        ("en;q=0.4,pt-BR", "BR", "pt"),
        ("es-419,es;q=0.9,en-US;q=0.3", "US", "es"),  # Latin America is no country
        ("zh-Hant-TW", "TW", "zh"),
        ("DE-at", "AT", "de"),
        ("fr", None, "fr"),
        ("en-XX", None, "en"),
        ("*", None, None),
        ("es-CR;q=0", None, None),
        ("", None, None),
        (None, None, None),
        (";;=,\0-\uffff", None, None),
    ],
)
def test_the_browser_names_a_language_and_perhaps_a_country(
    header: str | None, country: str | None, language: str | None
) -> None:
    assert spoken(header) == Visitor(country, language)


def test_the_profile_comes_before_the_browser_and_the_browser_before_the_proxy() -> None:
    assert country_of("MX", "es-CR", "AR") == "MX"
    assert country_of(None, "es-CR", "AR") == "CR"
    assert country_of(None, "es", "AR") == "AR"
    assert country_of(None, None, "XX") is None
    assert country_of(None, None, None) is None


def test_a_proxy_is_believed_when_it_is_trusted() -> None:
    assert VISITORS.visitor(PROXY) == Visitor("CR", None)
    assert VISITORS.visitor({**PROXY, "REMOTE_ADDR": "203.0.113.9"}) == Visitor()
    assert VISITORS.visitor({**PROXY, "REMOTE_ADDR": ""}) == Visitor()
    assert Visitors("CF-IPCountry", "").visitor(PROXY) == Visitor()
    assert Visitors("", "10.0.0.0/8").visitor(PROXY) == Visitor()


def test_what_the_account_says_is_taken_before_what_the_browser_says() -> None:
    environ = {**PROXY, "HTTP_ACCEPT_LANGUAGE": "en-GB"}
    assert VISITORS.visitor(environ) == Visitor("GB", "en")
    account = Account("1", "a@example.com", True, frozenset(), "1", language="pt-BR", country="EC")
    assert VISITORS.visitor(environ, account) == Visitor("EC", "pt")
    assert VISITORS.visitor(environ, replace(account, country=None)) == Visitor("GB", "pt")


@given(st.text(max_size=400))
def test_whatever_a_browser_sends_is_understood_or_passed_over(header: str) -> None:
    found = spoken(header)
    assert found.country is None or (len(found.country) == 2 and found.country.isascii())
    assert found.language is None or 2 <= len(found.language) <= 3
