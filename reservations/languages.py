"""The languages of letters and of printed tickets: which one a buyer gets, and how it says things."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from shared.http import Caller
from shared.texts import Texts
from shared.writing import Writing

TRANSLATIONS = Texts(Path(__file__).parent / "translations")


def N_(text: str) -> str:
    """Marks a text for the catalogues."""
    return text


class Tongue(Writing):
    """One of our languages: its texts, and how it writes money and moments."""

    def __init__(self, code: str) -> None:
        self.code = code

    def say(self, text: str, **values: object) -> str:
        """A text that `N_` marks, in this language, its `{name}`s filled in."""
        return TRANSLATIONS.in_language(self.code, text).format(**values)


@cache
def tongue(code: str) -> Tongue:
    """The language with this code; English for one that we do not have (any more)."""
    return Tongue(TRANSLATIONS.nearest([code]))


def chosen(wanted: str | None, caller: Caller, accepted: str | None) -> str:
    """The language of a reservation's letters, by its code: the first that we have of what was asked for, what the
    account has chosen, and what the browser accepts; else English."""

    def tags() -> Iterator[str | None]:
        yield wanted
        yield caller.account.language if caller.account is not None else None
        yield from (tag for tag, quality in parse_accept_header(accepted, LanguageAccept) if quality > 0)

    return TRANSLATIONS.nearest(tags())
