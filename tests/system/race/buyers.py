"""Buyers who all want tickets of one pool, and what each was told.

A buyer's answers may be lost in a crash; what is certain is kept as a `Promise`, which the database must keep.
"""

import asyncio
import random
import ssl
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.sites import RunningSite

TERMINAL = ("reserved", "cancelled", "expired", "lost")
ATTEMPT_SECONDS = 12.0
VERDICT_SECONDS = 5
LOOK_SECONDS = 1  # short: a verdict that came just before the question is no change that ends the wait
LONGEST_SECONDS = 120.0
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never used; to make one a client would cost seconds


@dataclass(frozen=True)
class Plan:
    """What a buyer has in mind; from the seed alone."""

    email: str
    site: int
    quantity: int
    intention: str  # confirm, cancel or walk away
    thinks_seconds: float
    patience_seconds: float  # from the moment when nothing is killed any more
    pauses_seconds: tuple[float, ...]


@dataclass(frozen=True)
class Promise:
    """A site told that this reservation is, or is not, in a state for good."""

    reservation_id: str
    status: str
    kept: bool = True


@dataclass
class Told:
    """All that a buyer knows afterwards."""

    plan: Plan
    keys: list[str] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)


def make_plans(seed: int, buyers: int, sites: int) -> list[Plan]:
    """The same seed, the same plans."""
    chance = random.Random(f"buyers {seed}")
    return [
        Plan(
            email=f"buyer-{number}@example.org",
            site=number % sites,
            quantity=chance.choice((1, 2)),
            intention=chance.choices(("confirm", "cancel", "walk away"), (4, 3, 2))[0],
            thinks_seconds=chance.uniform(0.0, 1.5),
            patience_seconds=chance.uniform(1.0, 9.0),
            pauses_seconds=tuple(chance.uniform(0.3, 3.0) for _ in range(7)),
        )
        for number in range(buyers)
    ]


async def all_buy(
    sites: list[RunningSite], pool: tuple[int, int], plans: list[Plan], calm: Callable[[], None]
) -> list[Told]:
    """Lets everybody go at once; `calm` returns when the trouble is over, and patience begins to wear out."""
    visits = [_Visit(sites[plan.site], pool, plan) for plan in plans]
    async with asyncio.TaskGroup() as group:
        for visit in visits:
            group.create_task(visit.run())
        await asyncio.to_thread(calm)
        for visit in visits:
            visit.lose_patience()
    return [visit.told for visit in visits]


class _Visit:
    """One buyer at one site, asking again until patience is over."""

    def __init__(self, site: RunningSite, pool: tuple[int, int], plan: Plan) -> None:
        self.told = Told(plan)
        # A client each, as in life; one for all would search its pool at every step.
        self._http = httpx.AsyncClient(timeout=ATTEMPT_SECONDS, verify=NO_TLS, trust_env=False)
        self._site = site
        self._pool = pool
        self._plan = plan
        self._url = site.url("reservations")
        self._leaves_at = asyncio.get_running_loop().time() + LONGEST_SECONDS
        self._pauses = 0

    def lose_patience(self) -> None:
        self._leaves_at = asyncio.get_running_loop().time() + self._plan.patience_seconds

    async def run(self) -> None:
        async with self._http:
            await self._buy()

    async def _buy(self) -> None:
        key = self._new_key()
        while self._has_patience():
            answer = await self._send(
                "POST",
                f"/api/reservations?wait={VERDICT_SECONDS}",
                headers={"Idempotency-Key": key},
                json=self._wish(),
            )
            if answer is None or answer.status_code >= 500:
                await self._pause()  # it may have been done: asks again with the same key
                continue
            if answer.status_code == 201:
                if await self._has_tickets(answer.json()):
                    return
            elif self._is_over(answer.json()["code"]):
                return
            await self._pause()
            key = self._new_key()

    def _is_over(self, code: str) -> bool:
        assert code in ("sold_out", "temporarily_unavailable"), code
        return code == "sold_out"

    async def _has_tickets(self, reservation: dict[str, Any]) -> bool:
        """Follows a reservation to its end; False when the buyer may try again."""
        reservation = await self._follow(reservation)
        if reservation["status"] != "held":
            self._note(reservation)
            return False
        await asyncio.sleep(self._plan.thinks_seconds)
        if self._plan.intention == "confirm":
            await self._confirm(reservation)
        elif self._plan.intention == "cancel":
            await self._cancel(reservation)
        return True

    async def _follow(self, reservation: dict[str, Any]) -> dict[str, Any]:
        token = {"Authorization": f"Bearer {reservation['accessToken']}"}
        path = f"/api/reservations/{reservation['id']}"
        while reservation["status"] == "submitted" and self._has_patience():
            answer = await self._send("GET", path, headers=token, params={"wait": LOOK_SECONDS})
            if answer is None or answer.status_code >= 500:
                await self._pause()
            else:
                assert answer.status_code == 200, answer.text
                reservation = {**reservation, "status": answer.json()["status"]}
        return reservation

    async def _confirm(self, reservation: dict[str, Any]) -> None:
        path = f"/internal/reservations/{reservation['id']}/confirm"
        answer = await self._insist("POST", path, self._site.operator())
        if answer is None:
            return
        if answer.status_code == 200:
            self._note(answer.json())
        else:
            assert answer.json()["code"] == "hold_expired", answer.text
            self.told.promises.append(Promise(reservation["id"], "reserved", kept=False))

    async def _cancel(self, reservation: dict[str, Any]) -> None:
        token = {"Authorization": f"Bearer {reservation['accessToken']}"}
        answer = await self._insist("DELETE", f"/api/reservations/{reservation['id']}", token)
        if answer is not None:
            assert answer.status_code == 200, answer.text
            self._note(answer.json())

    async def _insist(self, method: str, path: str, headers: dict[str, str]) -> httpx.Response | None:
        """Until there is an answer, or patience is over."""
        while self._has_patience():
            answer = await self._send(method, path, headers=headers)
            if answer is not None and answer.status_code < 500:
                return answer
            await self._pause()
        return None

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response | None:
        try:
            answer = await self._http.request(method, self._url + path, **options)
        except httpx.TransportError as error:
            self.told.answers.append(type(error).__name__)
            return None
        code = "" if answer.is_success else f" {answer.json()['code']}"
        self.told.answers.append(f"{method} {answer.status_code}{code}")
        return answer

    def _note(self, reservation: dict[str, Any]) -> None:
        if reservation["status"] in TERMINAL:
            self.told.promises.append(Promise(reservation["id"], reservation["status"]))

    def _wish(self) -> dict[str, Any]:
        match, category = self._pool
        return {
            "matchNumber": match,
            "category": category,
            "quantity": self._plan.quantity,
            "email": self._plan.email,
        }

    def _new_key(self) -> str:
        key = str(uuid.uuid4())
        self.told.keys.append(key)
        return key

    def _has_patience(self) -> bool:
        return asyncio.get_running_loop().time() < self._leaves_at

    async def _pause(self) -> None:
        pauses = self._plan.pauses_seconds
        await asyncio.sleep(pauses[self._pauses % len(pauses)])
        self._pauses += 1
