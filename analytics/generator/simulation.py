"""The simulation: visits, holds, payments and what becomes of them, in the order of time.

Each visit and each purchase is a process: a Python generator that yields how many seconds pass until it goes on. A heap
keeps them in order. No clock and no I/O; the same master list, parameters and seed tell the same, to the byte.
"""

import heapq
import uuid
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from analytics.generator.admission import Admission, Outcome, Pool
from analytics.generator.buyers import draw
from analytics.generator.choices import Choices
from analytics.generator.parameters import SIZES, Parameters
from analytics.generator.records import TicketRecord, Told, listing_event_id
from analytics.generator.sale import Sale, purchase
from analytics.generator.tournament import see
from shared.masterlist import MatchEntry
from shared.site_events import EventKind, SiteEvent
from shared.wire import Action

Process = Iterator[float]
DAY_SECONDS = 86_400.0
NEVER_MS = 10**15
LAST_SALE_SECONDS = 3_600.0  # nothing is bought in the last hour before the first kick-off


def simulate(masterlist: Sequence[MatchEntry], size: str | Parameters, seed: int) -> Iterator[Told]:
    """Ticket messages and site events over some weeks before the tournament, in the order of time.

    `size` is a name in `SIZES` or the model's parameters. Raises `ValueError` for an empty list or an unknown size.
    """
    if isinstance(size, str) and size not in SIZES:
        raise ValueError(f"size {size!r} is not known; there are {', '.join(SIZES)}")
    parameters = SIZES[size] if isinstance(size, str) else size
    return Simulation(masterlist, parameters, seed).run()


class Simulation:
    """One run. `now` is in seconds since the first sale."""

    def __init__(self, masterlist: Sequence[MatchEntry], parameters: Parameters, seed: int) -> None:
        self.parameters = parameters
        self.seed = seed
        self.chance = np.random.default_rng(seed)
        self.tournament = see(masterlist, parameters)
        self.buyers = draw(self.tournament, parameters, self.chance)
        self.choices = Choices(self.tournament, self.buyers, parameters, self.chance)
        # Every simulated hold ends by a message. The log's clock is not asked: it lags behind in hours without any.
        self.log = Admission(dict.fromkeys(self.tournament.offer, 0), hold_ms=NEVER_MS)
        self.submitted: dict[tuple[str, Pool], int] = defaultdict(int)  # not yet seen in the log, in tickets
        self.bought: dict[int, set[int]] = defaultdict(set)
        self.now = 0.0
        self._told: deque[Told] = deque()
        self._waiting: list[tuple[float, int, Process]] = []
        self._started = 0

    def run(self) -> Iterator[Told]:
        self.start(self._phases(), 0.0)
        for buyer in range(len(self.buyers)):
            for at in self._visit_times(buyer):
                self.start(self._visit(buyer), at)
        while self._waiting:
            self.now, number, process = heapq.heappop(self._waiting)
            pause = next(process, None)
            yield from self._told
            self._told.clear()
            if pause is not None:
                heapq.heappush(self._waiting, (self.now + pause, number, process))

    def start(self, process: Process, at: float) -> None:
        """Lets a process begin at that second."""
        self._started += 1
        heapq.heappush(self._waiting, (at, self._started, process))

    def moment(self) -> datetime:
        return self.tournament.opens + timedelta(seconds=self.now)

    def identity(self) -> str:
        """A UUID out of the seed."""
        return str(uuid.UUID(bytes=self.chance.bytes(16), version=4))

    def is_guest(self, buyer: int) -> bool:
        return bool(self.buyers.is_guest[buyer])

    # What is told

    def send(self, sale: Sale, action: Action) -> Outcome:
        """Puts a message of the sale into the log, at its end; the log's verdict on it."""
        match = self.tournament.matches[sale.match]
        price = self.tournament.pools[sale.match][sale.category].price
        record = TicketRecord(
            self.moment(), sale.client_id, sale.sale_id, action, match.match_number, sale.category, sale.quantity, price
        )
        self._told.append(record)
        return self.log.apply(int(record.at.timestamp() * 1000), record.message)

    def tell(self, buyer: int, kind: EventKind, *, is_seen: bool = True, **about: Any) -> None:
        """Tells an event, if the buyer is at this site; others keep theirs to themselves.

        What is seen of a browser, and so its country and language, is in the events of visits and holds only.
        """
        if self.buyers.site[buyer] != 0:
            return
        if is_seen:
            about |= {"country": self.buyers.country_code(buyer), "language": self.buyers.language(buyer)}
        subject = None if self.is_guest(buyer) else f"synthetic-{self.seed}-{buyer}"
        known = {"subject": subject, "event_id": self.identity(), "synthetic": True, **about}
        event = SiteEvent(kind, self.moment(), **known)
        self._told.append(event)

    def tell_of(self, sale: Sale, kind: EventKind) -> None:
        """Tells an event of a reservation."""
        self.tell(
            sale.buyer,
            kind,
            match_number=sale.pool.match_number,
            category=sale.category,
            quantity=sale.quantity,
            amount=self._price(sale) * sale.quantity,
            currency=self.parameters.currency,
            reservation_id=sale.sale_id,
        )

    def tell_of_money(self, sale: Sale, kind: EventKind) -> None:
        """Tells an event of a payment, which knows its reservation and no more."""
        amount = self._price(sale) * sale.quantity
        currency = self.parameters.currency
        self.tell(sale.buyer, kind, is_seen=False, reservation_id=sale.sale_id, amount=amount, currency=currency)

    def tell_of_listing(
        self, sale: Sale, kind: EventKind, factor: float, *, by_site: bool, held_by: str | None = None
    ) -> None:
        """Tells an event of one ticket that is sold again, at so many times its price, by its owner or the site.

        `held_by` is the reservation of who holds, held or has bought it. Each kind is told once of a sale.
        """
        about: dict[str, Any] = {"match_number": sale.pool.match_number, "category": sale.category, "quantity": 1}
        about |= {"amount": round(self._price(sale) * factor), "currency": self.parameters.currency}
        about["event_id"] = listing_event_id(sale.sale_id, kind)
        about["reservation_id"] = held_by
        if by_site:
            about["subject"] = None
        self.tell(sale.buyer, kind, is_seen=False, **about)

    def _price(self, sale: Sale) -> int:
        """Of one ticket, in minor units."""
        return int(self.tournament.pools[sale.match][sale.category].price * 100)

    # Visits

    def _phases(self) -> Process:
        """Puts a part of each pool on sale at the beginning of each phase."""
        phases = self.parameters.phases
        for phase in range(1, phases + 1):
            for pool, offer in self.tournament.offer.items():
                self.log.stocks[pool].capacity = -(-offer * phase // phases)
            yield self._last_sale() / phases

    def _last_sale(self) -> float:
        return self.tournament.sale_days * DAY_SECONDS - LAST_SALE_SECONDS

    def _visit_times(self, buyer: int) -> list[float]:
        parameters, chance = self.parameters, self.chance
        last = self._last_sale()
        times = []
        for _ in range(self.buyers.visits[buyer]):
            phase = int(chance.integers(parameters.phases)) * last / parameters.phases
            if not self.choices.happens(parameters.rush_share):
                at = self._at_own_hour(buyer, float(chance.uniform(0, last)))
            elif self.choices.happens(parameters.opening_share):
                at = phase + self.choices.seconds(parameters.opening_minutes * 60)
            else:
                at = self._at_own_hour(buyer, phase + self.choices.seconds(parameters.rush_hours * 3600))
            times.append(min(max(at, 0.0), last))
        return sorted(times)

    def _at_own_hour(self, buyer: int, at: float) -> float:
        """The same day at an hour that suits the buyer."""
        hour = self.buyers.hour[buyer] + self.chance.normal(0.0, self.parameters.hour_spread)
        opened = self.tournament.opens
        midnight = opened.hour * 3600 + opened.minute * 60 + opened.second
        day = (at + midnight) // DAY_SECONDS
        return float(day * DAY_SECONDS + (hour % 24) * 3600 - midnight)

    def _visit(self, buyer: int) -> Process:
        looked_at = self.choices.looked_at(buyer, self.bought[buyer])
        if looked_at and self.choices.happens(self.parameters.search_share):
            self.tell(buyer, EventKind.SEARCHED, text=self.choices.words(buyer, looked_at[0]))
        for match in looked_at:
            yield self.choices.seconds(self.parameters.look_seconds)
            number = self.tournament.matches[match].match_number
            self.tell(buyer, EventKind.MATCH_VIEWED, match_number=number)
        for match in self.choices.wanted(buyer, looked_at):
            sale = self._try(buyer, match)
            if sale is not None:
                self.bought[buyer].add(match)
                yield from purchase(self, sale)
                return
            if not self.choices.happens(self.parameters.second_choice_share):
                return

    def _try(self, buyer: int, match: int) -> Sale | None:
        """A sale of a category in which the buyer's site still sees tickets; None when there is none."""
        client_id = self.parameters.sites[self.buyers.site[buyer]][0]
        quantity = self.choices.quantity()
        for category in self.choices.categories(buyer, match):
            pool = Pool(self.tournament.matches[match].match_number, category)
            if self.log.stocks[pool].free - self.submitted[client_id, pool] >= quantity:
                return Sale(buyer, client_id, match, pool, quantity, self.identity())
            if not self.choices.happens(self.parameters.second_choice_share):
                return None
        return None
