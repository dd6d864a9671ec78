"""Tickets from one to the next, whatever dies on the way; each story is one thread with a plan from the seed.

Somebody buys a ticket, offers it, changes the price or takes it back and offers it anew; another finds it at the
shop, holds it and pays; an admin pays the seller out; some buyers get their money back, and the site sells the ticket
once more.
"""

import random
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.sites import RunningSite
from tests.standin import PUBLISHABLE_KEY
from tests.system.persistent import CARDS, Persistent
from tests.system.settled import rows
from tests.system.strikes import Strike, Striker, make_strike
from tests.tokens import Signer

VICTIMS = (
    "reservations", "reservations-worker", "reservations-relay", "payments", "payments-worker", "stripe-standin",
    "shop",
)  # fmt: skip
STEPS = ("list", "withdraw", "hold", "pay", "confirm", "transfer", "payout", "refund")
INTENTIONS = ("pays", "card declined, then pays", "two want it", "gives it back, then pays", "pays late")
WEIGHTS = (5, 2, 4, 3, 2)
ENDED = ("reserved", "cancelled", "expired", "lost")
OFFERS = (60, 75, 82)  # the first category's face value is 75, the cap 110 % of it
MATCHES = 24


@dataclass(frozen=True)
class Plan:
    """What happens to one ticket. `is_withdrawn`: its first offer is; `is_refunded`: its second owner is."""

    number: int
    match: int
    intention: str
    price: int
    is_withdrawn: bool
    is_refunded: bool
    strike: Strike


def make_plans(seed: int, runs: int) -> list[Plan]:
    """The same seed, the same plans; each step is part of the story in which it is struck."""
    chance = random.Random(f"resales {seed}")
    plans = []
    for number in range(runs):
        strike = make_strike(seed, number, VICTIMS, STEPS)
        is_withdrawn, is_refunded = (strike.step == step or chance.random() < 0.3 for step in ("withdraw", "refund"))
        # Who is late may get no ticket, and then there is nothing to pay out or back.
        weights = WEIGHTS[:4] if strike.step in ("payout", "refund") else WEIGHTS
        intention = chance.choices(INTENTIONS[: len(weights)], weights)[0]
        price = chance.choice(OFFERS)
        plans.append(Plan(number, 1 + number % MATCHES, intention, price, is_withdrawn, is_refunded, strike))
    return plans


@dataclass(frozen=True)
class Trader:
    """Somebody with an account."""

    id: str
    headers: dict[str, str]


@dataclass
class Story:
    """What became of one ticket, and what those who had to do with it were told."""

    plan: Plan
    told: list[str] = field(default_factory=list)
    listings: list[str] = field(default_factory=list)
    # The reservation of who was told last that the ticket is theirs; None while late money may still have it.
    owner: str | None = None


class Trade:
    """Goes through a plan; asks again, with the same keys, when no answer or a 5xx comes."""

    def __init__(self, site: RunningSite, signer: Signer, plan: Plan, striker: Striker) -> None:
        self._site = site
        self._signer = signer
        self._plan = plan
        self._striker = striker
        self.story = Story(plan)

    def go(self) -> Story:
        """One ticket, from its first sale to its last."""
        with httpx.Client(timeout=15, trust_env=False) as http:
            self._way = Persistent(self._site, self._striker, self._plan.strike, http)
            self.story.told = self._way.told
            seller, buyer = self._trader(), self._trader()
            if ticket := self._buy_first(seller):
                listing = self._offer(seller, ticket)
                if payment := self._sell_on(seller, buyer, listing):
                    self._see_it_through(payment, listing)
        return self.story

    def _trader(self) -> Trader:
        account_id = str(uuid.uuid4())
        return Trader(account_id, self._signer.bearer(account_id=account_id))

    # The first sale

    def _buy_first(self, buyer: Trader) -> str | None:
        body = {"matchNumber": self._plan.match, "category": 1, "quantity": 1, "email": f"{buyer.id}@example.org"}
        answer = self._post(buyer, "reservations", "/api/reservations", params={"wait": 5}, json=body)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        if self._wait(buyer, made["id"], ("held", *ENDED)) != "held":
            return None
        payment = self._pay(buyer, made["id"])
        if payment is None or self._wait(buyer, made["id"], ENDED) != "reserved":
            return None
        self.story.owner = made["id"]
        return self._ticket_of(buyer, made["id"])

    def _ticket_of(self, owner: Trader, reservation_id: str) -> str:
        def find() -> str | None:
            found = self._way.look("reservations", "/api/tickets", owner.headers) or {"items": []}
            ids = [str(each["id"]) for each in found["items"] if each["reservationId"] == reservation_id]
            return ids[0] if ids else None

        return self._way.until(find, f"the ticket of {reservation_id}")

    # Offering

    def _offer(self, seller: Trader, ticket: str) -> str:
        self._way.begin("list")
        listing = self._list(seller, ticket)
        path = f"/api/resale/listings/{listing}"
        if self._plan.is_withdrawn:
            self._way.begin("withdraw")
            answer = self._way.ask("DELETE", "reservations", path, seller.headers)
            assert answer.json()["status"] == "withdrawn", answer.text
            return self._list(seller, ticket)
        answer = self._way.ask("PATCH", "reservations", path, seller.headers, json={"price": self._plan.price - 0.5})
        assert answer.status_code == 200, answer.text
        return listing

    def _list(self, seller: Trader, ticket: str) -> str:
        body = {"ticketId": ticket, "price": self._plan.price}
        answer = self._post(seller, "reservations", "/api/resale/listings", json=body)
        assert answer.status_code == 201, answer.text
        self.story.listings.append(answer.json()["id"])
        return self.story.listings[-1]

    # Buying what is offered

    def _sell_on(self, seller: Trader, buyer: Trader, listing: str) -> str | None:
        """The buyer's payment, when the ticket is the buyer's."""
        buyer, held = self._hold(buyer, listing)
        if self._plan.intention == "gives it back, then pays":
            self._way.ask("DELETE", "reservations", f"/api/reservations/{held}", buyer.headers)
            buyer, held = self._hold(buyer, listing)
        if self._plan.intention == "pays late":
            return self._pay_late(buyer, held)
        payment = self._pay(buyer, held, "pay", "confirm")
        return payment if payment and self._is_theirs(buyer, held) else None

    def _hold(self, buyer: Trader, listing: str) -> tuple[Trader, str]:
        """Who has it, and the reservation."""
        self._way.until(lambda: self._way.look("shop", f"/api/listings/{listing}", {}), f"{listing} at the shop")
        self._way.begin("hold")
        buyers = [buyer, self._trader()] if self._plan.intention == "two want it" else [buyer]
        path = f"/api/resale/listings/{listing}/hold"
        with ThreadPoolExecutor(len(buyers)) as pool:
            answers = list(pool.map(lambda who: self._post(who, "reservations", path, json={}), buyers))
        winners = [(who, answer) for who, answer in zip(buyers, answers, strict=True) if answer.status_code == 201]
        assert {answer.json()["code"] for answer in answers if answer.status_code != 201} <= {"listing_held"}
        # Of two who have it one was so slow that the other's hold had ended.
        who, answer = max(winners, key=lambda winner: winner[1].json()["expiresAt"])
        return who, str(answer.json()["id"])

    def _pay(self, buyer: Trader, reservation_id: str, *steps: str) -> str | None:
        """The payment's id; None when the hold is over."""
        self._way.begin(*steps[:1])
        answer = self._post(buyer, "payments", "/api/payments", json={"reservationId": reservation_id})
        if answer.status_code not in (200, 201):
            self.story.told.append(f"pay: {answer.json()['code']}")
            return None
        payment = answer.json()
        self._way.begin(*steps[1:])
        if steps and self._plan.intention == "card declined, then pays":
            self._confirm(payment, "declined")
        self._confirm(payment, "good")
        return str(payment["id"])

    def _confirm(self, payment: dict[str, Any], card: str) -> None:
        """What Stripe's element does in the buyer's page."""
        form = {"client_secret": payment["clientSecret"], "payment_method": CARDS[card]}
        path = f"/v1/payment_intents/{payment['intentId']}/confirm"
        answer = self._way.ask("POST", "stripe-standin", path, {}, data=form, auth=(PUBLISHABLE_KEY, ""))
        error = answer.json().get("error") or {}
        self.story.told.append(f"confirm: {error.get('code') or answer.json().get('status')}")

    def _pay_late(self, buyer: Trader, reservation_id: str) -> str | None:
        """The form was open while the hold ended; what comes of it is not seen any more."""
        answer = self._post(buyer, "payments", "/api/payments", json={"reservationId": reservation_id})
        status = self._wait(buyer, reservation_id, ENDED)
        self._way.begin("pay", "confirm", "transfer")
        self.story.told.append(f"late: {status}")
        if answer.status_code in (200, 201):
            self.story.owner = None
            self._confirm(answer.json(), "good")
        return None

    def _is_theirs(self, buyer: Trader, reservation_id: str) -> bool:
        self._way.begin("transfer")
        status = self._wait(buyer, reservation_id, ENDED)
        self.story.told.append(f"transfer: {status}")
        self.story.owner = reservation_id if status == "reserved" else None
        return status == "reserved"

    # What an admin does then

    def _see_it_through(self, payment: str, listing: str) -> None:
        self._way.begin("payout")
        payout = self._way.until(lambda: self._due(listing), f"the credit for {listing}")
        self._admin("payout", f"/api/payments/payouts/{payout}/paid", {"note": "by bank"}, 200)
        if self._plan.is_refunded:
            self._way.begin("refund")
            self._admin("refund", f"/api/payments/{payment}/refunds", {"reason": "asked"}, 201)
            self.story.owner = None
            self._buy_from_site()

    def _due(self, listing: str) -> str | None:
        cursor: dict[str, str] = {}
        while True:
            admin = self._signer.bearer("admin")
            page = self._way.look("payments", "/api/payments/payouts", admin, status="due", limit=100, **cursor)
            for each in (page or {"items": []})["items"]:
                if each["listingId"] == listing:
                    return str(each["id"])
            if page is None or page["nextCursor"] is None:
                return None
            cursor = {"cursor": page["nextCursor"]}

    def _admin(self, what: str, path: str, body: dict[str, Any], status: int) -> None:
        admin = self._signer.bearer("admin")
        answer = self._way.ask("POST", "payments", path, admin, str(uuid.uuid4()), json=body)
        assert answer.status_code == status, answer.text
        self.story.told.append(f"{what}: {answer.json()['status']}")

    def _buy_from_site(self) -> None:
        """What came back is offered by the site, and somebody else has it."""
        buyer, listing = self._trader(), self._way.until(self._sites_own, "the site's own listing")
        self.story.listings.append(listing)
        buyer, held = self._hold(buyer, listing)
        if self._pay(buyer, held):
            self._is_theirs(buyer, held)

    def _sites_own(self) -> str | None:
        """The listing of what this story's last buyer has given back."""
        found = rows(
            self._site,
            "SELECT own.id::text FROM reservations.listings sold"
            " JOIN reservations.tickets old ON old.id = sold.ticket_id"
            " JOIN reservations.listings own ON own.ticket_id = old.replaced_by AND own.by_site"
            f" WHERE sold.id = '{self.story.listings[-1]}'",
        )
        return found[0]["id"] if found else None

    # Asking

    def _post(self, who: Trader, process: str, path: str, **more: Any) -> httpx.Response:
        return self._way.ask("POST", process, path, who.headers, str(uuid.uuid4()), **more)

    def _wait(self, who: Trader, reservation_id: str, states: tuple[str, ...]) -> str:
        def look() -> str | None:
            found = self._way.look("reservations", f"/api/reservations/{reservation_id}", who.headers, wait=5)
            return found["status"] if found is not None and found["status"] in states else None

        return self._way.until(look, f"the status of {reservation_id}")
