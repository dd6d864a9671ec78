"""Languages of the pages: texts by gettext, numbers, money and moments by CLDR.

The catalogues are the `.po` files themselves: they are read when the process starts, and nothing has to be compiled. A
language has one folder in `translations/` with any number of files, one a part of the pages, which count as one.
"""

import gettext
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale, dates, numbers
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from werkzeug.datastructures import LanguageAccept

TRANSLATIONS = Path(__file__).parents[1] / "translations"
SOURCE = "en"
RIGHT_TO_LEFT_MARK, LEFT_TO_RIGHT, END = "\u200f", "\u2066", "\u2069"
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
class Language:
    """One language: its texts, and how it writes numbers, money and moments."""

    code: str
    name: str
    texts: gettext.NullTranslations = field(repr=False)

    @cached_property
    def locale(self) -> Locale:
        return Locale.parse(self.code)

    @property
    def direction(self) -> str:
        """`ltr` or `rtl`."""
        return str(self.locale.text_direction)

    def number(self, value: float) -> str:
        return numbers.format_decimal(value, locale=self.locale)

    def percent(self, share: float) -> str:
        """A share between 0 and 1, in whole percent."""
        return numbers.format_percent(share, locale=self.locale)

    def money(self, amount: Decimal | float, currency: str) -> str:
        """`amount` in major units; without cents where there are none, as prices are written."""
        value = Decimal(str(amount))
        whole = value == value.to_integral_value()
        pattern = self.locale.currency_formats["standard"].pattern
        written = str(
            numbers.format_currency(
                value,
                currency,
                format=pattern.replace(".00", "") if whole else pattern,
                locale=self.locale,
                currency_digits=not whole,
            )
        )
        # Number and currency stay together in the order in which they are written, also amid Arabic.
        return f"{LEFT_TO_RIGHT}{written.strip(RIGHT_TO_LEFT_MARK)}{END}" if self.direction == "rtl" else written

    def day(self, moment: datetime | str, zone: str | None = None) -> str:
        """The day with its weekday, by the clocks of the zone, or else in UTC."""
        return dates.format_date(_local(moment, zone), "full", locale=self.locale)

    def short_day(self, moment: datetime | str, zone: str | None = None) -> str:
        """The day, short."""
        return dates.format_skeleton("EEEdMMM", _local(moment, zone), locale=self.locale)

    def time(self, moment: datetime | str, zone: str | None = None) -> str:
        """Hours and minutes."""
        return dates.format_time(_local(moment, zone), "short", locale=self.locale)

    def moment(self, moment: datetime | str, zone: str | None = None) -> str:
        """Day and time, short."""
        return dates.format_datetime(_local(moment, zone), "medium", locale=self.locale)

    def territories(self) -> list[tuple[str, str]]:
        """All countries of ISO 3166-1 with their names, sorted as this language does, as far as code points can."""
        found = [(code, name) for code, name in self.locale.territories.items() if len(code) == 2 and code.isalpha()]
        return sorted((pair for pair in found if pair[0] not in _NO_COUNTRIES), key=lambda pair: pair[1])


# Of CLDR's territories those that are no country or no part of one.
_NO_COUNTRIES = frozenset({"EU", "EZ", "UN", "XA", "XB", "XK", "ZZ", "QO", "AC", "CP", "CQ", "DG", "EA", "IC", "TA"})


def _local(moment: datetime | str, zone: str | None) -> datetime:
    read = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    try:
        return read.astimezone(ZoneInfo(zone) if zone else UTC)
    except (ZoneInfoNotFoundError, ValueError):
        return read.astimezone(UTC)


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
