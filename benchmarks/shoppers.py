"""Who buys in the benchmark of purchases: over HTTP with the standard library, as little as a client can be."""

import http.client
import json
from typing import Any
from urllib.parse import urlencode, urlsplit

WAIT_SECONDS = 5
TRIES = 6
SECONDS_MAX = 30


class Link:
    """A kept-alive connection to one service."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=SECONDS_MAX)

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str], wanted: int) -> Any:
        """The answer's JSON; raises `RuntimeError` for another status than the wanted one."""
        self._connection.request(method, path, body or None, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != wanted:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:200]!r}")
        return json.loads(content)

    def post(self, path: str, body: Any, wanted: int, token: str = "") -> Any:
        headers = {"Content-Type": "application/json", **_bearer(token)}
        return self.ask("POST", path, json.dumps(body).encode(), headers, wanted)

    def get(self, path: str, token: str) -> Any:
        return self.ask("GET", path, b"", _bearer(token), 200)

    def close(self) -> None:
        self._connection.close()


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


class StripeCalls:
    """The two calls of Stripe's API that a purchase is made of."""

    def __init__(self, url: str, secret_key: str = "") -> None:
        self._link = Link(url)
        self._secret_key = secret_key

    def create(self, amount: int, key: str) -> tuple[str, str]:
        """The intent's id and client secret."""
        form = {"amount": amount, "currency": "usd", "payment_method_types[0]": "card"}
        made = self._post("/v1/payment_intents", form, self._secret_key, {"Idempotency-Key": key})
        return made["id"], made["client_secret"]

    def confirm(self, intent: str, client_secret: str) -> None:
        """What the buyer's page does, with its publishable key."""
        form = {"client_secret": client_secret, "payment_method": "pm_card_visa"}
        done = self._post(f"/v1/payment_intents/{intent}/confirm", form, "pk_test_benchmark", {})
        if done["status"] != "succeeded":
            raise RuntimeError(f"the intent is {done['status']}")

    def _post(self, path: str, form: dict[str, Any], key: str, headers: dict[str, str]) -> Any:
        headers = {"Content-Type": "application/x-www-form-urlencoded", **headers, **_bearer(key)}
        return self._link.ask("POST", path, urlencode(form).encode(), headers, 200)

    def close(self) -> None:
        self._link.close()


class Shopper:
    """A guest who holds a ticket, pays, and follows the reservation until it is sold."""

    def __init__(self, reservations_url: str, payments_url: str, stripe: StripeCalls, name: str) -> None:
        self._reservations = Link(reservations_url)
        self._payments = Link(payments_url)
        self._stripe = stripe
        self._name = name

    def buy(self, number: int) -> None:
        """One purchase; raises when anything is not as it should be."""
        pool = number % 192
        wish: dict[str, Any] = {"matchNumber": pool // 3 + 1, "category": pool % 3 + 1, "quantity": 1}
        wish["email"] = f"{self._name}-{number}@example.org"
        held = self._reservations.post(f"/api/reservations?wait={WAIT_SECONDS}", wish, 201)
        if held["status"] != "held":
            raise RuntimeError(f"the hold is {held['status']}")
        token = held["accessToken"]
        payment = self._payments.post("/api/payments", {"reservationId": held["id"]}, 201, token)
        self._stripe.confirm(payment["intentId"], payment["clientSecret"])
        self._follow(held["id"], token)

    def _follow(self, reservation_id: str, token: str) -> None:
        for _ in range(TRIES):
            now = self._reservations.get(f"/api/reservations/{reservation_id}?wait={WAIT_SECONDS}", token)
            if now["status"] == "reserved":
                return
        raise RuntimeError(f"the reservation is {now['status']}")

    def close(self) -> None:
        self._reservations.close()
        self._payments.close()
        self._stripe.close()
