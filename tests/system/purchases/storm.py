"""Servers that die while a site sells: killed and started again one after the other, at moments of a seed."""

import random
import threading
from collections import Counter
from collections.abc import Sequence

from matchday.servers import Server
from tests.sites import RunningSite

CALM_SECONDS, DOWN_SECONDS = (0.0, 3.0), (0.0, 2.0)


class Storm(threading.Thread):
    """kill -9 of each server so often, in an order of the seed; `is_over` when all of them are up again."""

    def __init__(self, site: RunningSite, servers: Sequence[Server], rounds: int, seed: int) -> None:
        super().__init__(name="storm", daemon=True)
        self._site = site
        self._chance = random.Random(f"storm {seed}")
        self._order = [server for _ in range(rounds) for server in self._chance.sample(servers, len(servers))]
        self._pause = threading.Event()
        self.killed: Counter[str] = Counter()
        self.is_over = threading.Event()

    def run(self) -> None:
        try:
            for server in self._order:
                self._site.wait_ready()  # so that buyers are on their way again, everywhere between hold and ticket
                self._pause.wait(self._chance.uniform(*CALM_SECONDS))  # not for anything: the seed chooses the moment
                self._strike(server)
        finally:
            self.is_over.set()

    def _strike(self, server: Server) -> None:
        server.kill()
        self.killed[server.name] += 1
        self._pause.wait(self._chance.uniform(*DOWN_SECONDS))
        server.start()
