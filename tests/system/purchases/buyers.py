"""Buyers who go from the hold to the ticket, whatever dies on the way; each is one thread with a plan from the seed."""

import random
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.sites import RunningSite
from tests.standin import PUBLISHABLE_KEY
from tests.system.persistent import CARDS, Persistent
from tests.system.strikes import Strike, Striker, make_strike

VICTIMS = ("payments", "payments-worker", "reservations", "reservations-worker", "stripe-standin")
STEPS = ("hold", "pay", "confirm", "verdict")
INTENTIONS = ("pays", "clicks twice", "card declined, then pays", "walks away", "pays late", "buys in one call")
WEIGHTS = (6, 4, 3, 2, 2, 4)
ONE_CALL_CARD = {"number": "4242424242424242", "expirationMonth": 12, "expirationYear": 2040, "cvc": "123"}
ENDED = ("reserved", "cancelled", "expired", "lost")
PRICES = {1: 75, 2: 125, 3: 195}


@dataclass(frozen=True)
class Plan:
    """What a buyer wants and what happens to him."""

    number: int
    email: str
    intention: str
    match: int
    category: int
    quantity: int
    strike: Strike


def make_plans(seed: int, runs: int) -> list[Plan]:
    """The same seed, the same plans."""
    chance = random.Random(f"purchases {seed}")
    return [
        Plan(
            number,
            f"buyer-{seed}-{number}@example.org",
            chance.choices(INTENTIONS, WEIGHTS)[0],
            chance.randint(1, 8),
            chance.choice((1, 2, 3)),
            chance.choice((1, 2)),
            make_strike(seed, number, VICTIMS, STEPS),
        )
        for number in range(runs)
    ]


@dataclass
class Visit:
    """One purchase, and what the buyer was told."""

    plan: Plan
    reservation_id: str | None = None
    told: list[str] = field(default_factory=list)


class Buyer:
    """Goes through a plan; asks again, with the same keys, when no answer or a 5xx comes."""

    def __init__(self, site: RunningSite, plan: Plan, striker: Striker, hold_seconds: float) -> None:
        self._site = site
        self._plan = plan
        self._striker = striker
        self._hold_seconds = hold_seconds
        self._token: dict[str, str] = {}
        self.visit = Visit(plan)

    def go(self) -> Visit:
        """Buys, or does whatever else the plan says."""
        with httpx.Client(timeout=15, trust_env=False) as http:
            self._way = Persistent(self._site, self._striker, self._plan.strike, http)
            self.visit.told = self._way.told
            if self._plan.intention == "buys in one call":
                self._buy_in_one_call()
            elif held := self._hold():
                self._pay(held)
        return self.visit

    def _hold(self) -> dict[str, Any] | None:
        plan = self._plan
        body = {"matchNumber": plan.match, "category": plan.category, "quantity": plan.quantity, "email": plan.email}
        answer = self._post("hold", "reservations", "/api/reservations", params={"wait": 5}, json=body)
        if answer.status_code != 201:
            self.visit.told.append(f"hold: {answer.json()['code']}")
            return None
        held: dict[str, Any] = answer.json()
        self.visit.reservation_id = held["id"]
        self._token = {"Authorization": f"Bearer {held['accessToken']}"}
        status = self._wait(("held", *ENDED)) if held["status"] == "submitted" else held["status"]
        self.visit.told.append(f"hold: {status}")
        return held if status == "held" else None

    def _pay(self, held: dict[str, Any]) -> None:
        payment = self._payment(held["id"])
        if payment is None or self._plan.intention == "walks away":
            return
        if self._plan.intention == "card declined, then pays":
            self._confirm(payment, "declined")
        if self._plan.intention == "pays late":
            self._wait(ENDED, nudge=False)
        self._confirm(payment, "good")
        if self._plan.intention == "clicks twice":
            self._payment(held["id"])
            self._confirm(payment, "good")
        self._way.begin("verdict")
        self.visit.told.append(f"verdict: {self._wait(ENDED)}")

    def _payment(self, reservation_id: str) -> dict[str, Any] | None:
        answer = self._post("pay", "payments", "/api/payments", json={"reservationId": reservation_id})
        if answer.status_code not in (200, 201):
            self.visit.told.append(f"pay: {answer.json()['code']}")
            return None
        payment: dict[str, Any] = answer.json()
        return payment

    def _confirm(self, payment: dict[str, Any], card: str) -> None:
        """What Stripe's element does in the buyer's page."""
        form = {"client_secret": payment["clientSecret"], "payment_method": CARDS[card]}
        path = f"/v1/payment_intents/{payment['intentId']}/confirm"
        self._way.begin("confirm")
        answer = self._way.ask("POST", "stripe-standin", path, {}, data=form, auth=(PUBLISHABLE_KEY, ""))
        error = answer.json().get("error") or {}
        self.visit.told.append(f"confirm: {error.get('code') or answer.json().get('status')}")

    def _buy_in_one_call(self) -> None:
        plan = self._plan
        tickets = {"category": plan.category, "quantity": plan.quantity, "price": PRICES[plan.category]}
        body = {"email": plan.email, "matchNumber": plan.match, "tickets": tickets, "card": ONE_CALL_CARD}
        self._way.begin("pay", "confirm", "verdict")  # all of them lie within the one call
        answer = self._post("hold", "reservations", "/api/reservation", json=body)
        self.visit.reservation_id = answer.json().get("id")
        self.visit.told.append(f"one call: {answer.json().get('code') or answer.json().get('message')}")

    def _post(self, step: str, process: str, path: str, **more: Any) -> httpx.Response:
        self._way.begin(step)
        return self._way.ask("POST", process, path, self._token, str(uuid.uuid4()), **more)

    def _wait(self, states: tuple[str, ...], nudge: bool = True) -> str:
        """The reservation's status once it is one of these; a late payer does not look while he waits."""
        if not nudge:
            time.sleep(self._hold_seconds)  # the plan, not a wait for something: this buyer is late

        def look() -> str | None:
            path = f"/api/reservations/{self.visit.reservation_id}"
            found = self._way.look("reservations", path, self._token, wait=5)
            return found["status"] if found is not None and found["status"] in states else None

        return self._way.until(look, f"the status of {self.visit.reservation_id}")
