"""What one sees: a table that is drawn anew each second, or a line now and then where nobody looks at a terminal."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import httpx

from analytics.generator.admission import Pool
from matchday.demo.audit import Counted, Report, counters
from matchday.demo.partners import Partners
from matchday.demo.shoppers import Shoppers
from matchday.demo.sites import DemoSite
from shared.masterlist import MatchEntry

POOLS_SHOWN = 10
CLEAR = "\x1b[H\x1b[2J"
LINE_EVERY_SECONDS = 5.0
LOST = ("lost", "sold_out", "temporarily_unavailable")


class Screen:
    """Writes to standard output; a terminal that has gone does not end the demo."""

    def __init__(self, sites: Sequence[DemoSite], masterlist: Sequence[MatchEntry]) -> None:
        self._sites = sites
        self._names = {one.match_number: f"{one.home_team} – {one.away_team}" for one in masterlist}
        self._tickets = sum(pool.capacity for one in masterlist for pool in one.pools)
        self._is_terminal = sys.stdout.isatty()
        self._next_line = 0.0

    def say(self, text: str) -> None:
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except (OSError, ValueError):
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115

    def show(self, left: float, shoppers: Shoppers, partners: Partners) -> None:
        """The counters as the sites' shops answer now."""
        if not self._is_terminal and time.monotonic() < self._next_line:
            return
        self._next_line = time.monotonic() + LINE_EVERY_SECONDS
        seen: dict[str, Counted] = {}
        for site in self._sites:
            with suppress(httpx.HTTPError):  # a shop that is away for a moment
                seen[site.name] = counters(site)
        if not self._is_terminal:
            self.say(f"{left:4.0f} s left  {self._line(seen, shoppers, partners)}")
            return
        rows = [*self.addresses(), "", *self._pools(seen), "", *self._people(shoppers, partners)]
        self.say(CLEAR + "\n".join([*rows, "", f"{left:.0f} s left; ctrl-C ends the sale and begins the audit"]))

    def addresses(self) -> list[str]:
        """Where to look in a browser."""
        return [
            f"{site.name:<16} {site.url('client')}  the API {site.url('shop')}/docs  letters {site.url('mailbox')}"
            for site in self._sites
        ]

    def _line(self, seen: Mapping[str, Counted], shoppers: Shoppers, partners: Partners) -> str:
        parts = []
        for site in self._sites:
            pools = seen.get(site.name, {}).values()
            left = f"{sum(pending for pending, _ in pools)} pending {sum(reserved for _, reserved in pools)} reserved"
            parts.append(f"{site.name}: {left if pools else 'no answer'}, {shoppers.sales(site.name)} sales")
        return f"{'  '.join(parts)}  partners: {sum(partners.sold.values())} tickets"

    def _pools(self, seen: Mapping[str, Counted]) -> list[str]:
        head = f"{'tickets left: pending/reserved':<44}" + "".join(f"{site.name:>18}" for site in self._sites)
        everywhere = set[Pool]().union(*seen.values())
        least = sorted(everywhere, key=lambda pool: min(of.get(pool, (0, 0))[1] for of in seen.values()))
        return [head, *(self._pool(pool, seen) for pool in least[:POOLS_SHOWN])]

    def _pool(self, pool: Pool, seen: Mapping[str, Counted]) -> str:
        name = f"{pool.match_number:>3} {self._names.get(pool.match_number, '')[:30]}, category {pool.category}"
        cells = [f"{'/'.join(map(str, seen.get(site.name, {}).get(pool, ('-', '-')))):>18}" for site in self._sites]
        return f"{name:<44}" + "".join(cells)

    def _people(self, shoppers: Shoppers, partners: Partners) -> list[str]:
        rows = [f"{'at the sites':<20}{'held':>8}{'too late':>10}{'cancelled':>11}{'declined':>10}{'sold':>8}"]
        for site in self._sites:
            counts = shoppers.told[site.name].counts
            late = sum(counts[what] for what in LOST)
            numbers = f"{counts['held']:>8}{late:>10}{counts['cancelled']:>11}{counts['declined']:>10}"
            rows.append(f"{site.name:<20}{numbers}{counts['reserved']:>8}")
        sold = ", ".join(f"{name} {tickets}" for name, tickets in sorted(partners.sold.items())) or "none yet"
        return [*rows, f"tickets of partners by Kafka alone: {sold}; too late {partners.lost}"]

    def report(self, found: Report) -> None:
        """The audit's outcome, a line a statement."""
        sold = sum(found.sold.values())
        by_whom = ", ".join(f"{name} {tickets}" for name, tickets in sorted(found.sold.items()))
        self.say(f"\n{found.records} records in the log; {sold} of {self._tickets} tickets sold: {by_whom}")
        money = ", ".join(f"{name} {amount / 100:,.2f} USD" for name, amount in found.kept.items())
        self.say(f"paid: {money}")
        for check in found.checks:
            self.say(f"  {'ok ' if check.holds else 'NOT'}  {check.statement}")
            for reason in check.against[:5]:
                self.say(f"         {reason}")
        self.say("the audit holds" if found.holds else "THE AUDIT DOES NOT HOLD")
