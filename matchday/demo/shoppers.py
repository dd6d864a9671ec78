"""Buyers at the sites' real APIs: tastes as the generator draws them, holds, payments, changes of mind."""

import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np

from analytics.generator.buyers import draw
from analytics.generator.choices import Choices
from analytics.generator.parameters import Parameters
from analytics.generator.tournament import see
from matchday.demo.sites import DemoSite
from shared.masterlist import MatchEntry

THREADS = 8
THINK_SECONDS = 1.0
VERDICT_SECONDS = 5
FOLLOW_TRIES = 6
REQUEST_SECONDS = 15.0
PAUSE_SECONDS = 0.5
PUBLISHABLE_KEY = "pk_test_demo"
CANCELS, WALKS_AWAY, IS_DECLINED = 0.08, 0.08, 0.12


@dataclass
class Told:
    """What buyers of one site have been told; receipts are minor units by reservation."""

    counts: Counter[str] = field(default_factory=Counter)
    receipts: dict[str, int] = field(default_factory=dict)


class Shoppers:
    """Some buyers at a time, at all sites, until told to stop."""

    def __init__(self, sites: Sequence[DemoSite], masterlist: Sequence[MatchEntry], seed: int) -> None:
        self._sites = sites
        shares = tuple((f"synthetic-{site.name}", 1 / len(sites)) for site in sites)
        self._parameters = Parameters(buyers=2_000, sites=shares, buy_share=1.0)
        self._tournament = see(masterlist, self._parameters)
        self._buyers = draw(self._tournament, self._parameters, np.random.default_rng(seed))
        self._seed = seed
        self._lock = threading.Lock()
        self._next = 0
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._shop, args=(n,), name=f"buyer-{n}") for n in range(THREADS)]
        self.told: dict[str, Told] = defaultdict(Told)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Lets everybody finish what is begun."""
        self._enough.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def note(self, site: DemoSite, what: str) -> None:
        with self._lock:
            self.told[site.name].counts[what] += 1

    def receive(self, site: DemoSite, reservation_id: str, amount: int) -> None:
        with self._lock:
            self.told[site.name].receipts[reservation_id] = amount

    def sales(self, name: str) -> int:
        """How many buyers of the site have their tickets."""
        with self._lock:
            return len(self.told[name].receipts)

    def _shop(self, number: int) -> None:
        chance = np.random.default_rng([self._seed, number])
        choices = Choices(self._tournament, self._buyers, self._parameters, chance)
        with httpx.Client(timeout=REQUEST_SECONDS, trust_env=False) as http:
            while not self._enough.is_set():
                with self._lock:
                    buyer, self._next = self._next % len(self._buyers), self._next + 1
                site = self._sites[int(self._buyers.site[buyer])]
                try:
                    _Visit(self, site, http, choices, buyer).go()
                except (httpx.TransportError, _NoAnswer):
                    self.note(site, "no answer")  # whatever was begun ends by itself
                    self._enough.wait(PAUSE_SECONDS)


class _NoAnswer(Exception):
    """A service is away for a moment."""


class _Visit:
    """One buyer's way through one site."""

    def __init__(self, shoppers: Shoppers, site: DemoSite, http: httpx.Client, choices: Choices, buyer: int) -> None:
        self._shoppers = shoppers
        self._site = site
        self._http = http
        self._choices = choices
        self._buyer = buyer

    def go(self) -> None:
        choices = self._choices
        looked_at = choices.looked_at(self._buyer, set())
        for match in looked_at[:2]:
            self._ask("GET", "shop", f"/api/matches/{self._number(match)}")
        for match in choices.wanted(self._buyer, looked_at):
            for category in choices.categories(self._buyer, match):
                held = self._hold(self._number(match), category)
                if held is not None:
                    self._decide(held)
                    return
            if not choices.happens(0.5):
                return

    def _number(self, match: int) -> int:
        return self._choices.tournament.matches[match].match_number

    def _hold(self, match: int, category: int) -> dict[str, Any] | None:
        email = f"{uuid.uuid4().hex[:12]}@example.org"
        quantity = self._choices.quantity()
        wish = {"matchNumber": match, "category": category, "quantity": quantity, "email": email}
        path = f"/api/reservations?wait={VERDICT_SECONDS}"
        answer = self._ask("POST", "reservations", path, key=str(uuid.uuid4()), json=wish)
        if answer.status_code != 201:
            self._shoppers.note(self._site, str(answer.json()["code"]))
            return None
        held: dict[str, Any] = answer.json()
        self._shoppers.note(self._site, held["status"])
        return held if held["status"] == "held" else None

    def _decide(self, held: dict[str, Any]) -> None:
        time.sleep(self._choices.seconds(THINK_SECONDS))
        token = {"Authorization": f"Bearer {held['accessToken']}"}
        if self._choices.happens(CANCELS):
            answer = self._ask("DELETE", "reservations", f"/api/reservations/{held['id']}", headers=token)
            self._shoppers.note(self._site, "cancelled" if answer.is_success else "not cancelled")
        elif self._choices.happens(WALKS_AWAY):
            self._shoppers.note(self._site, "walked away")
        else:
            self._pay(held, token)

    def _pay(self, held: dict[str, Any], token: dict[str, str]) -> None:
        body = {"reservationId": held["id"]}
        answer = self._ask("POST", "payments", "/api/payments", headers=token, key=str(uuid.uuid4()), json=body)
        if answer.status_code not in (200, 201):
            self._shoppers.note(self._site, str(answer.json()["code"]))
            return
        payment = answer.json()
        if self._choices.happens(IS_DECLINED):
            self._confirm(payment, "pm_card_chargeDeclined")
            self._shoppers.note(self._site, "declined")
        self._confirm(payment, "pm_card_visa")
        self._follow(held, token)

    def _confirm(self, payment: dict[str, Any], card: str) -> None:
        """What Stripe's element does in the buyer's page."""
        form = {"client_secret": payment["clientSecret"], "payment_method": card}
        path = f"/v1/payment_intents/{payment['intentId']}/confirm"
        self._ask("POST", "stripe-standin", path, data=form, auth=(PUBLISHABLE_KEY, ""))

    def _follow(self, held: dict[str, Any], token: dict[str, str]) -> None:
        for _ in range(FOLLOW_TRIES):
            answer = self._ask("GET", "reservations", f"/api/reservations/{held['id']}?wait=5", headers=token)
            status = answer.json().get("status")
            if status == "reserved":
                self._shoppers.receive(self._site, held["id"], held["amount"])
            if status not in ("held", None):
                self._shoppers.note(self._site, status)
                return

    def _ask(
        self, method: str, process: str, path: str, headers: dict[str, str] | None = None, key: str = "", **more: Any
    ) -> httpx.Response:
        sent = {**(headers or {}), **({"Idempotency-Key": key} if key else {})}
        answer = self._http.request(method, self._site.url(process) + path, headers=sent, **more)
        if answer.status_code >= 500:
            raise _NoAnswer
        return answer
