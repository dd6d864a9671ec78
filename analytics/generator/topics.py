"""Synthetic sales and events on the real topics, as partners and services put them there."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Self

from analytics.generator.admission import LOG_HOLD_MS, Admission, Outcome, Pool
from analytics.generator.records import LISTING_KINDS, TicketRecord, Told, listing_event_id
from shared.kafka.publisher import Outgoing, Publisher
from shared.kafka.reader import LogReader
from shared.masterlist import MatchEntry, parse_masterlist
from shared.settings import KafkaSettings
from shared.site_events import EventKind, SiteEvent, encode_event
from shared.wire import Action, Refused, TicketMessage, decode

CHUNK_MAX = 2_000


class RealSales(Exception):
    """Synthetic data do not belong here"""


class NoSuchTopic(Exception):
    """The broker has no topic of this name"""


def refuse_real_sales(settings: KafkaSettings) -> None:
    """Raises `RealSales` where people buy: what is in a log stays there, and every site counts it."""
    names = (settings.sales_topic, settings.site_events_topic)
    if settings.environment == "prod" or any(name.endswith("-prod") for name in names):
        raise RealSales(f"{names[0]} is a topic of real sales: synthetic ones would stay in it for ever")


def read_masterlist(settings: KafkaSettings) -> list[MatchEntry]:
    """The matches as the master list's topic describes them last. Raises `BrokerUnavailable`."""
    found: dict[int, MatchEntry] = {}
    with LogReader(settings, settings.masterlist_topic) as reader:
        for partition, (start, end) in reader.bounds().items():
            for records, _ in reader.read(partition, start, end):
                for record in records:
                    found.update((match.match_number, match) for match in _matches(record.value))
    return [found[number] for number in sorted(found)]


def _matches(value: bytes | None) -> list[MatchEntry]:
    try:
        return parse_masterlist(value)
    except Refused:
        return []  # no site applies it


def in_chunks(told: Iterable[Told], *, cut_at_verdicts: bool) -> Iterator[list[Told]]:
    """The stream in parts; with `cut_at_verdicts` no sale goes on in the part that its hold is in."""
    chunk: list[Told] = []
    undecided: set[str] = set()
    for one in told:
        goes_on = cut_at_verdicts and isinstance(one, TicketRecord) and one.sale_id in undecided
        if goes_on or len(chunk) >= CHUNK_MAX:
            yield chunk
            chunk, undecided = [], set()
        if isinstance(one, TicketRecord) and one.action is Action.PENDING:
            undecided.add(one.sale_id)
        chunk.append(one)
    if chunk:
        yield chunk


class LogFollower:
    """What the log has decided on each sale: reads all of it, whoever wrote, and judges as every site does."""

    def __init__(self, settings: KafkaSettings, masterlist: Sequence[MatchEntry], hold_ms: int = LOG_HOLD_MS) -> None:
        capacities = {Pool(one.match_number, pool.category): pool.capacity for one in masterlist for pool in one.pools}
        self.admission = Admission(capacities, hold_ms)
        self.outcomes: dict[tuple[str | None, str], Outcome] = {}
        self.records = 0
        self._reader = LogReader(settings, settings.sales_topic)
        self._next: dict[int, int] = {}

    def __enter__(self) -> Self:
        self._reader.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._reader.close()

    def catch_up(self) -> None:
        """Reads on to the log's present end. Raises `BrokerUnavailable`."""
        for partition, (begin, end) in sorted(self._reader.bounds().items()):
            start = self._next.get(partition, begin)
            if start < end:
                for records, position in self._reader.read(partition, start, end):
                    for record in records:
                        self._take(record.timestamp, record.value, record.headers)
                    self._next[partition] = position

    def understood(self, message: TicketMessage) -> None:
        """For who wants to know of each message that was applied."""

    def _take(self, at_ms: int, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> None:
        self.records += 1
        try:
            message = decode(value, headers)
        except Refused:
            self.admission.tick(at_ms)
            return
        outcome = self.admission.apply(at_ms, message)
        self.understood(message)
        if message.sale_id is not None and message.action is Action.PENDING:
            self.outcomes.setdefault((message.client_id, message.sale_id), outcome)


class TopicSink:
    """Publishes parts of a stream. With a follower the simulated sites obey the verdicts of the log that they write to.

    A sale that was admitted in the simulation may be rejected there: it is cancelled then and nothing is paid.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        follower: LogFollower | None = None,
        *,
        forced: bool = False,
        with_events: bool = True,
    ) -> None:
        """Raises `RealSales` where people buy, unless `forced`. Without events it sends ticket messages alone."""
        if not forced:
            refuse_real_sales(settings)
        self._settings = settings
        self._follower = follower
        self._with_events = with_events
        self._publisher = Publisher(settings, guard=lambda: None)
        self._lost: set[str] = set()
        self._ended: set[str] = set()
        self._untrue: set[str] = set()  # ids of events of listings of tickets that were never sold
        self.messages = 0
        self.events = 0

    @property
    def lost(self) -> int:
        """Sales that the log has rejected."""
        return len(self._lost)

    def is_lost(self, record: TicketRecord) -> bool:
        """Whether the log has rejected its sale."""
        return record.sale_id in self._lost

    def __enter__(self) -> Self:
        """Raises `NoSuchTopic` before anything is written: what is in a log stays there."""
        try:
            self._publisher.start()
            self._find_topics()
        except BaseException:
            self._publisher.close()
            raise
        return self

    def _find_topics(self) -> None:
        settings, known = self._settings, self._publisher.topics()
        if settings.sales_topic not in known:
            raise NoSuchTopic(f"topic {settings.sales_topic} does not exist")
        if self._with_events and settings.site_events_topic not in known:
            raise NoSuchTopic(
                f"topic {settings.site_events_topic} does not exist: CLIENT_ID (now {settings.client_id}) must name the"
                " site that takes the events"
            )

    def __exit__(self, *exc_info: object) -> None:
        self._publisher.close()

    def send(self, told: Sequence[Told]) -> None:
        """Publishes one part, as `in_chunks` cuts it. Raises `BrokerUnavailable`."""
        records = [lawful for one in told if isinstance(one, TicketRecord) and (lawful := self._lawful(one))]
        self._publish([Outgoing(self._settings.sales_topic, one.key, one.value, one.headers) for one in records])
        self.messages += len(records)
        if self._follower is not None:
            self._hear_verdicts(self._follower, records)
        if self._with_events:
            self._send_events([one for one in told if isinstance(one, SiteEvent)])

    def _send_events(self, told: Sequence[SiteEvent]) -> None:
        events = [true for one in told if (true := self._true(one))]
        self._publish([self._event(one) for one in events])
        self.events += len(events)

    def _publish(self, messages: Sequence[Outgoing]) -> None:
        if messages:
            self._publisher.publish(messages)

    def _hear_verdicts(self, follower: LogFollower, records: Sequence[TicketRecord]) -> None:
        holds = [one for one in records if one.action is Action.PENDING]
        if holds:
            follower.catch_up()
            outcomes = follower.outcomes
            lost = {one.sale_id for one in holds if outcomes.get((one.client_id, one.sale_id)) is Outcome.REJECTED}
            self._lost |= lost
            self._untrue |= {listing_event_id(sale_id, kind) for sale_id in lost for kind in LISTING_KINDS}

    def _lawful(self, record: TicketRecord) -> TicketRecord | None:
        """What the site does in truth: a sale that was rejected is cancelled, once."""
        if record.sale_id not in self._lost:
            return record
        if record.sale_id in self._ended:
            return None
        self._ended.add(record.sale_id)
        return replace(record, action=Action.CANCELLED)

    def _true(self, event: SiteEvent) -> SiteEvent | None:
        if event.event_id in self._untrue:
            return None
        if event.reservation_id not in self._lost or event.kind in (
            EventKind.RESERVATION_SUBMITTED,
            EventKind.RESERVATION_LOST,
        ):
            return event
        if event.kind is EventKind.RESERVATION_HELD:
            return replace(event, kind=EventKind.RESERVATION_LOST)
        return None

    def _event(self, event: SiteEvent) -> Outgoing:
        key = (event.subject or event.reservation_id or event.event_id).encode()
        return Outgoing(self._settings.site_events_topic, key, encode_event(event), [])
