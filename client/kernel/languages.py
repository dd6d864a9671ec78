"""Languages of the pages: texts by gettext, numbers, money and moments by CLDR.

The catalogues are the `.po` files themselves: they are read when the process starts, and nothing has to be compiled. A
language has one folder in `translations/` with any number of files, one a part of the pages, which count as one.
"""

import gettext
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from werkzeug.datastructures import LanguageAccept

from shared.writing import Writing

TRANSLATIONS = Path(__file__).parents[1] / "translations"
SOURCE = "en"
# By their own names, so that everybody finds theirs.
NAMES = {"en": "English", "ar": "العربية", "es": "Español", "fr": "Français"}


def read_catalogues(folder: Path) -> Iterable[Catalog]:
    """The catalogues of one language, part by part."""
    for path in sorted(folder.glob("*.po")):
        with path.open("rb") as file:
            yield read_po(file, locale=folder.name)


def load_texts(language: str) -> gettext.NullTranslations:
    """All texts of one language; the source language needs none."""
    if language == SOURCE:
        return gettext.NullTranslations()
    whole = Catalog(locale=language)
    for part in read_catalogues(TRANSLATIONS / language):
        for message in part:
            if message.id:
                whole.add(message.id, message.string, context=message.context)
    compiled = io.BytesIO()
    write_mo(compiled, whole)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


@dataclass(frozen=True)
class Language(Writing):
    """One language: its texts, and how it writes numbers, money and moments."""

    code: str
    name: str
    texts: gettext.NullTranslations = field(repr=False)

    def territories(self) -> list[tuple[str, str]]:
        """All countries of ISO 3166-1 with their names, sorted as this language does, as far as code points can."""
        found = [(code, name) for code, name in self.locale.territories.items() if len(code) == 2 and code.isalpha()]
        return sorted((pair for pair in found if pair[0] not in _NO_COUNTRIES), key=lambda pair: pair[1])


# Of CLDR's territories those that are no country or no part of one.
_NO_COUNTRIES = frozenset({"EU", "EZ", "UN", "XA", "XB", "XK", "ZZ", "QO", "AC", "CP", "CQ", "DG", "EA", "IC", "TA"})


class Languages:
    """All of them, and which one a visitor gets."""

    def __init__(self) -> None:
        self.all = {code: Language(code, name, load_texts(code)) for code, name in NAMES.items()}

    def __getitem__(self, code: str) -> Language:
        return self.all[code]

    def choose(self, chosen: str | None, accepted: LanguageAccept) -> Language:
        """What was chosen before, else the first that the browser asks for and we have, else English."""
        if chosen in self.all:
            return self.all[chosen]
        # A browser's "es-MX" is our "es".
        for wanted, _ in accepted:
            code = wanted.replace("_", "-").partition("-")[0].lower()
            if code in self.all:
                return self.all[code]
        return self.all[SOURCE]
