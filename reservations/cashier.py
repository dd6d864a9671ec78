"""The service payments, as far as reservations waits for its answer: a card is charged in one call."""

from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr

from reservations.domain import CardDeclined, Charge, PurchaseUndecided, Reservation
from shared import tracing
from shared.errors import DependencyUnavailable
from shop.inventory.domain import HoldExpired

# Longer than payments takes for its answer (STRIPE_CARD_SECONDS_MAX and its own work), so that its word is heard.
CHARGE_SECONDS_MAX = 45.0
CONNECT_SECONDS_MAX = 2.0
PATH = "/internal/payments/card"


@dataclass(frozen=True, slots=True, repr=False)
class Card:
    """A card on its way to payments. It is never stored and says nothing of itself."""

    number: str
    expiration_month: int
    expiration_year: int
    cvc: str

    def __repr__(self) -> str:
        return "Card(…)"


class Cashier:
    """Asks payments to charge cards."""

    def __init__(self, payments_url: str, token: SecretStr) -> None:
        self._http = httpx.Client(
            base_url=payments_url,
            headers={"Authorization": f"Bearer {token.get_secret_value()}"},
            timeout=httpx.Timeout(CHARGE_SECONDS_MAX, connect=CONNECT_SECONDS_MAX),
            trust_env=False,
        )

    def close(self) -> None:
        """Ends the connections."""
        self._http.close()

    def charge(self, reservation: Reservation, card: Card) -> Charge:
        """Charges a card for a reservation, once, however often it is asked.

        Raises `CardDeclined`, `HoldExpired` and `DependencyUnavailable` when nothing was charged, and
        `PurchaseUndecided` when that is not known.
        """
        try:
            answer = self._http.post(PATH, json=_asked(reservation, card), headers=_headers(reservation))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            raise DependencyUnavailable("the service payments is out of reach; nothing was charged") from None
        except httpx.HTTPError:
            # The error's own words could tell what was sent.
            raise PurchaseUndecided("the service payments has not answered") from None
        if answer.status_code == 201 and answer.json().get("status") == "succeeded":
            return _charge(reservation, answer.json())
        raise _refusal(answer)


def _asked(reservation: Reservation, card: Card) -> dict[str, Any]:
    return {
        "reservationId": reservation.id,
        "amount": reservation.amount,
        "currency": reservation.currency,
        "email": reservation.email,
        "card": {
            "number": card.number,
            "expirationMonth": card.expiration_month,
            "expirationYear": card.expiration_year,
            "cvc": card.cvc,
        },
    }


def _headers(reservation: Reservation) -> dict[str, str]:
    headers = {"Idempotency-Key": reservation.id}
    traceparent = tracing.traceparent()
    return headers if traceparent is None else {**headers, "traceparent": traceparent}


def _charge(reservation: Reservation, paid: dict[str, Any]) -> Charge:
    return Charge(str(paid["id"]), reservation.id, int(paid["amount"]), str(paid["currency"]))


def _refusal(answer: httpx.Response) -> Exception:
    code = _problem(answer).get("code")
    if answer.status_code == 402:
        return CardDeclined(declineCode=_problem(answer).get("declineCode"))
    if code in ("hold_expired", "not_held"):
        return HoldExpired("the hold has ended; had the card been charged, tickets or money come by themselves")
    return PurchaseUndecided("the service payments cannot tell yet")


def _problem(answer: httpx.Response) -> dict[str, Any]:
    try:
        problem = answer.json()
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}
