"""Where a visitor is from and which language it speaks, as far as it is known without asking anybody outside.

One rule for all who need it: the account's profile, else the region in the browser's `Accept-Language`, else what a
trusted proxy says in the header that `COUNTRY_HEADER` names. Nothing is looked up by address.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from shared.http.callers import Account
from shared.http.client import ClientAddress

ACCEPT_LANGUAGE_CHARS_MAX = 256
HEADERS_KNOWN_MAX = 2048
# ISO 3166-1 alpha-2 without what is for private use (proxies say XX or ZZ for the unknown), but with Kosovo's XK.
COUNTRY = re.compile(r"(?!AA|Q[M-Z]|X[A-JL-Z]|ZZ)[A-Z]{2}")
# A tag of RFC 5646: language, script if any, region; a region of three digits, such as Latin America's, is no country.
TAG = re.compile(r"([a-z]{2,3})(?:-[a-z]{4})?(?:-([a-z]{2}|[0-9]{3}))?(?:-.*)?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Visitor:
    """`country` by ISO 3166-1 alpha-2, `language` by ISO 639; None what is not known."""

    country: str | None = None
    language: str | None = None


def country_of(account_country: str | None, accept_language: str | None, told_by_proxy: str | None) -> str | None:
    """The rule: profile, browser, proxy; the first that names a country."""
    return account_country or spoken(accept_language).country or _country(told_by_proxy)


def spoken(accept_language: str | None) -> Visitor:
    """The language that a browser likes best, and the first region that it names."""
    return _spoken(accept_language[:ACCEPT_LANGUAGE_CHARS_MAX]) if accept_language else Visitor()


@lru_cache(HEADERS_KNOWN_MAX)  # browsers say the same few things
def _spoken(accept_language: str) -> Visitor:
    accepted = parse_accept_header(accept_language, LanguageAccept)
    tags = [found for tag, quality in accepted if quality > 0 and (found := TAG.fullmatch(tag))]
    country = next((country for tag in tags if (country := _country(tag[2]))), None)
    return Visitor(country, tags[0][1].lower() if tags else None)


def _country(text: str | None) -> str | None:
    upper = (text or "").strip().upper()
    return upper if COUNTRY.fullmatch(upper) else None


class Visitors:
    """Knows which header to ask, and of whom it is believed."""

    def __init__(self, country_header: str, trusted_proxies: str) -> None:
        """`country_header` is a header's name such as `CF-IPCountry`; empty: no proxy is asked."""
        self._key = f"HTTP_{country_header.upper().replace('-', '_')}" if country_header else None
        self._client = ClientAddress(trusted_proxies)

    def visitor(self, environ: Mapping[str, Any], account: Account | None = None) -> Visitor:
        """Who sends this request; of an account also what its profile says."""
        accepted = environ.get("HTTP_ACCEPT_LANGUAGE")
        country, tag = (None, None) if account is None else (account.country, account.language)
        language = tag.partition("-")[0].lower() if tag else spoken(accepted).language
        return Visitor(country_of(country, accepted, self._told(environ)), language)

    def _told(self, environ: Mapping[str, Any]) -> str | None:
        if self._key is None or not (told := environ.get(self._key)) or not self._client.is_proxied(environ):
            return None
        return str(told)
