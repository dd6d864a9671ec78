"""How languages write numbers, money and moments, by CLDR."""

from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale, dates, numbers

ALMOST, HUNDREDTH = 0.01, 0.0001  # a share that whole percents tell badly, and the least that is told
RIGHT_TO_LEFT_MARK, LEFT_TO_RIGHT, END = "\u200f", "\u2066", "\u2069"


class Writing:
    """One language's way; `code` is its ISO 639 code."""

    code: str

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
        """A share between 0 and 1, in whole percent. Where that would say none or all of what is only nearly so,
        hundredths of a percent."""
        if 0 < share < ALMOST or 1 - ALMOST < share < 1:
            share = min(max(round(share, 4), HUNDREDTH), 1 - HUNDREDTH)
            return numbers.format_percent(share, locale=self.locale, decimal_quantization=False)
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
        return self.together(written.strip(RIGHT_TO_LEFT_MARK))

    def amount(self, value: Decimal, currency: str) -> str:
        """`value` in major units as receipts have it: with its cents, and the currency by its code (ISO 4217)."""
        return str(numbers.format_currency(value, currency, format="#,##0.00\xa0¤¤", locale=self.locale))

    def together(self, text: str) -> str:
        """What is written from left to right, marked to stay so amid what is written from right to left."""
        return f"{LEFT_TO_RIGHT}{text}{END}" if self.direction == "rtl" else text

    def day(self, moment: datetime | str, zone: str | None = None) -> str:
        """The day with its weekday, by the clocks of the zone, or else in UTC."""
        return dates.format_date(by_clocks_of(moment, zone), "full", locale=self.locale)

    def short_day(self, moment: datetime | str, zone: str | None = None) -> str:
        """The day, short."""
        return dates.format_skeleton("EEEdMMM", by_clocks_of(moment, zone), locale=self.locale)

    def time(self, moment: datetime | str, zone: str | None = None) -> str:
        """Hours and minutes."""
        return dates.format_time(by_clocks_of(moment, zone), "short", locale=self.locale)

    def clock(self, moment: datetime, zone: str | None = None) -> str:
        """Hours and minutes of the day's 24, as timetables have them."""
        return dates.format_time(by_clocks_of(moment, zone), "HH:mm", locale=self.locale)

    def moment(self, moment: datetime | str, zone: str | None = None) -> str:
        """Day and time, short."""
        return dates.format_datetime(by_clocks_of(moment, zone), "medium", locale=self.locale)


def by_clocks_of(moment: datetime | str, zone: str | None) -> datetime:
    """The moment in a time zone; in UTC without one, or when nobody knows it."""
    read = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    try:
        return read.astimezone(ZoneInfo(zone) if zone else UTC)
    except (ZoneInfoNotFoundError, ValueError):
        return read.astimezone(UTC)
