"""The rooms in Redis: one script call a question, so that any number of processes have one line."""

import hashlib
from pathlib import Path
from typing import Any, cast

import redis
from redis.exceptions import NoScriptError, RedisError

from reservations.waiting_room.domain import Answer, Ask, Terms, Verdict
from security.engine.store import connections
from shared.errors import DependencyUnavailable

SCRIPT = (Path(__file__).parent / "room.lua").read_bytes()
SCRIPT_HASH = hashlib.sha1(SCRIPT, usedforsecurity=False).hexdigest()
PARTS = ("facts", "line", "seen", "inside", "used")
IDLE_MS = 3_600_000  # of a room for which nobody has asked for so long nothing is left


class RedisRooms:
    """All rooms of a site."""

    def __init__(self, url: str, seconds_max: float, prefix: str = "waiting") -> None:
        self._client: Any = redis.Redis(connection_pool=connections(url, seconds_max))
        self._prefix = prefix

    def ask(self, match_number: int, terms: Terms, ask: Ask, now: int = 0) -> Answer:
        """See `domain.step`; `now` in µs, 0 for Redis' own clock. Raises `DependencyUnavailable`."""
        keys = [f"{self._prefix}:{{{match_number}}}:{part}" for part in PARTS]
        arguments = [
            ask.op.value, now, terms.interval, terms.capacity, terms.burst, terms.absent, terms.admission, terms.settle,
            terms.linger, terms.places_max, terms.address_max, terms.claim, terms.keep, IDLE_MS, int(ask.always_on),
            int(ask.pressed), ask.place_id, ask.number, ask.holder, ask.address, ask.tag,
        ]  # fmt: skip
        return _answer(self._call(keys, arguments))

    def close(self) -> None:
        """Closes what is not in use."""
        self._client.connection_pool.disconnect()

    def _call(self, keys: list[str], arguments: list[Any]) -> list[Any]:
        try:
            try:
                found = self._client.evalsha(SCRIPT_HASH, len(keys), *keys, *arguments)
            except NoScriptError:
                self._client.script_load(SCRIPT)
                found = self._client.evalsha(SCRIPT_HASH, len(keys), *keys, *arguments)
        except (RedisError, OSError) as error:
            raise DependencyUnavailable("the waiting room cannot be reached at present") from error
        return cast(list[Any], found)


def _answer(found: list[Any]) -> Answer:
    verdict, number, position, until, waiting, inside, is_on, let_in, expired, gap, opens, now, place_id = found
    return Answer(
        Verdict(verdict), place_id.decode(), number, position, until, waiting, inside, bool(is_on), let_in, expired,
        gap, opens, now,
    )  # fmt: skip
