"""One thread a process that looks at Redis twice a second: whether it is there, and whether the lists have changed."""

import threading
from typing import Any

import redis
import structlog
from redis.exceptions import RedisError

from security.engine.lists import Lists, decode
from security.engine.store import connections
from shared import metrics

log = structlog.get_logger(__name__)

LISTS = "security:lists"
VERSION = "security:lists:version"
LOOK_SECONDS = 0.5
STOP_SECONDS_MAX = 2.0


class Watch(threading.Thread):
    """Knows whether Redis is away (`alone`), so that no request has to find out; and the `lists`."""

    def __init__(self, url: str, seconds_max: float) -> None:
        super().__init__(name="watch-redis", daemon=True)
        self.lists = Lists()
        self.alone = False
        self._client: Any = redis.Redis(connection_pool=connections(url, seconds_max))
        self._version: bytes | None = None
        self._stopping = threading.Event()

    def start(self) -> None:
        self.look()
        super().start()

    def stop(self) -> None:
        self._stopping.set()
        if self.is_alive():
            self.join(STOP_SECONDS_MAX)
        self._client.connection_pool.disconnect()

    def run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            self.look()

    def look(self) -> None:
        """Looks once. Lists that were read stay good while Redis is away."""
        try:
            version = self._client.get(VERSION)
            if version != self._version:
                raw = self._client.get(LISTS)
                self.lists = decode(raw) if isinstance(raw, bytes) else Lists()
                self._version = version if isinstance(version, bytes) else None
        except (RedisError, OSError) as error:
            self.lost(str(error))
            return
        except ValueError:
            log.exception("lists_not_readable")
            return
        if self.alone:
            self.alone = False
            metrics.GATE_ALONE.set(0)
            log.info("redis_found")

    def lost(self, why: str) -> None:
        """Somebody asked Redis in vain: from now on nobody does, until it is there again."""
        if not self.alone:
            self.alone = True
            metrics.GATE_ALONE.set(1)
            log.error("redis_lost", error=why)
