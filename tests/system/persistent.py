"""Somebody who goes through a plan whatever dies on the way: asks again, with the same keys, until answered."""

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx

from tests.sites import RunningSite
from tests.system.strikes import Strike, Striker

T = TypeVar("T")
LONGEST_SECONDS = 150.0
PAUSE_SECONDS = 0.25
AGAIN = frozenset({429, 500, 502, 503, 504})
# Too early, or at work on the same key: what a browser's script would repeat.
BUSY = frozenset({"not_held", "in_progress"})
CARDS = {"good": "pm_card_visa", "declined": "pm_card_chargeDeclined"}


class Persistent:
    """One thread's way to a site; `told` is what it has heard."""

    def __init__(self, site: RunningSite, striker: Striker, strike: Strike, http: httpx.Client) -> None:
        self.site = site
        self.told: list[str] = []
        self._last: object = None
        self._striker = striker
        self._strike = strike
        self._http = http

    def begin(self, *steps: str) -> None:
        """Now is the moment for a strike at one of these steps."""
        for step in steps:
            self._striker.at(self._strike, step)

    def ask(
        self, method: str, process: str, path: str, headers: Mapping[str, str], key: str = "", **more: Any
    ) -> httpx.Response:
        """The answer to one request, however often it has to be sent."""
        sent = {**headers, "Idempotency-Key": key} if key else dict(headers)

        def send() -> httpx.Response | None:
            answer = self._http.request(method, self.site.url(process) + path, headers=sent, **more)
            self._last = (answer.status_code, answer.text[:500])
            return None if is_to_be_repeated(answer) else answer

        return self.until(send, f"{process} {path}")

    def look(self, process: str, path: str, headers: Mapping[str, str], **params: Any) -> dict[str, Any] | None:
        """What is there now; None when there is nothing, or no answer."""
        answer = self._http.get(self.site.url(process) + path, params=params, headers=headers)
        found: dict[str, Any] | None = answer.json() if answer.status_code == 200 else None
        return found

    def until(self, attempt: Callable[[], T | None], what: str) -> T:
        """The first answer that is one, unless it takes too long."""
        ends_at = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < ends_at:
            try:
                found = attempt()
            except httpx.TransportError as error:
                found, self._last = None, error
            if found is not None:
                return found
            time.sleep(PAUSE_SECONDS)
        heard = f"{self._strike}, told {self.told}, last {self._last!r}"
        raise AssertionError(f"{what}: nothing within {LONGEST_SECONDS:g} s ({heard})")


def is_to_be_repeated(answer: httpx.Response) -> bool:
    """Whether a browser's script would send the same once more."""
    if answer.status_code in AGAIN:
        return True
    if answer.status_code != 409:
        return False
    problem = answer.json()
    return problem.get("code") in BUSY or problem.get("reason") == "not_settled"
