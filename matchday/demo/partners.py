"""Who else sells: simulated sites that obey the log, and docs/examples/partner.py, which knows nothing but Kafka."""

import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from analytics.generator.admission import Outcome
from analytics.generator.parameters import SIZES
from analytics.generator.records import TicketRecord
from analytics.generator.simulation import simulate
from analytics.generator.topics import LogFollower, TopicSink
from matchday.paths import CHECKOUT
from shared.errors import BrokerUnavailable
from shared.masterlist import MatchEntry
from shared.settings import KafkaSettings
from shared.wire import Action

KIOSK = "kiosk"
KIOSK_EVERY = 20  # records of the simulated sites
PARTNER_SECONDS = 20.0
BUYERS_PER_SECOND = 1.5


@dataclass(frozen=True)
class _KioskSale:
    match: int
    category: int
    sale_id: str


class Partners:
    """One thread that lets a simulation's sales happen within some seconds."""

    def __init__(self, settings: KafkaSettings, masterlist: Sequence[MatchEntry], seconds: float, seed: int) -> None:
        parameters = replace(SIZES["small"], buyers=max(10, round(seconds * BUYERS_PER_SECOND)))
        told = simulate(masterlist, parameters, seed)
        self._records = [one for one in told if isinstance(one, TicketRecord)]
        self._pause = seconds / max(1, len(self._records))
        self._settings = settings
        self._masterlist = masterlist
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, name="partners")
        self._open: dict[str, TicketRecord] = {}
        self.sold: Counter[str] = Counter()
        self.lost = 0
        self.problem: Exception | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Gives back what is on hold, and ends."""
        self._enough.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            with (
                LogFollower(self._settings, self._masterlist) as follower,
                TopicSink(self._settings, follower, with_events=False) as sink,
            ):
                for number, record in enumerate(self._records):
                    if self._enough.wait(self._pause):
                        break
                    self._send(sink, record)
                    if number % KIOSK_EVERY == 0:
                        self._sell_at_the_kiosk(follower)
                for record in list(self._open.values()):
                    self._send(sink, replace(record, action=Action.CANCELLED))
        except (BrokerUnavailable, subprocess.SubprocessError) as problem:
            self.problem = problem

    def _send(self, sink: TopicSink, record: TicketRecord) -> None:
        lost = sink.lost
        sink.send([record])
        self.lost += sink.lost - lost
        if record.action is not Action.PENDING:
            self._open.pop(record.sale_id, None)
        elif sink.lost == lost:
            self._open[record.sale_id] = record
        else:
            sink.send([replace(record, action=Action.CANCELLED)])
        if record.action is Action.RESERVED and not sink.is_lost(record):
            self.sold[record.client_id] += record.quantity

    def _sell_at_the_kiosk(self, follower: LogFollower) -> None:
        """Two tickets of the pool that has most of them, if the log lets it."""
        follower.catch_up()
        pool = max(follower.admission.stocks, key=lambda pool: follower.admission.stocks[pool].free)
        sale = _KioskSale(*pool, str(uuid.uuid4()))
        self._partner("TICKET_PENDING", sale)
        follower.catch_up()
        admitted = follower.outcomes.get((KIOSK, sale.sale_id)) is Outcome.ADMITTED
        self._partner("TICKET_RESERVED" if admitted else "TICKET_CANCELLED", sale)
        if admitted:
            self.sold[KIOSK] += 2
        else:
            self.lost += 1

    def _partner(self, action: str, sale: _KioskSale) -> None:
        where = {"KAFKA_BOOTSTRAP_SERVERS": self._settings.kafka_bootstrap_servers}
        where["TOPIC_TICKET_SALES"] = self._settings.sales_topic
        what = ["send", action, "--site", KIOSK, "--match", sale.match, "--category", sale.category]
        subprocess.run(
            [sys.executable, "docs/examples/partner.py", *map(str, what), "--quantity", "2", "--sale", sale.sale_id],
            cwd=CHECKOUT,
            env=where,
            check=True,
            timeout=PARTNER_SECONDS,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # ctrl-C is for the demo to hear
        )
