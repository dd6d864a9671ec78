"""The service reservations, as far as payments asks it something; what it is told goes through `shared.delivery`."""

from datetime import datetime
from typing import Any

import httpx
from pydantic import SecretStr

from payments.domain import Held
from shared.errors import DependencyUnavailable, Forbidden, NotFound, Unauthenticated

ASK_SECONDS_MAX = 5.0
CREDENTIAL = "X-Caller-Authorization"
TARGET = "reservations"


class Reservations:
    """Asks for reservations, on behalf of whoever wants to pay."""

    def __init__(self, url: str, token: SecretStr) -> None:
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token.get_secret_value()}"},
            timeout=ASK_SECONDS_MAX,
            trust_env=False,
        )

    def close(self) -> None:
        self._http.close()

    def opened(self, reservation_id: str, credential: str) -> Held:
        """The reservation, if the caller's own credential opens it.

        Raises `Unauthenticated`, `Forbidden`, `NotFound`, `DependencyUnavailable`.
        """
        return self._get(reservation_id, {CREDENTIAL: credential})

    def held(self, reservation_id: str) -> Held:
        """The reservation, whoever asks. Raises `NotFound`, `DependencyUnavailable`."""
        return self._get(reservation_id, {})

    def _get(self, reservation_id: str, headers: dict[str, str]) -> Held:
        try:
            response = self._http.get(f"/internal/reservations/{reservation_id}", headers=headers)
        except httpx.HTTPError as error:
            raise DependencyUnavailable("the service reservations is out of reach") from error
        if response.status_code == 404:
            raise NotFound("there is no such reservation")
        if headers and response.status_code == 401:
            raise Unauthenticated("the credential does not open the reservation")
        if headers and response.status_code == 403 and _code(response) == Forbidden.code:
            raise Forbidden("the credential belongs to another reservation")
        if response.status_code != 200:
            raise DependencyUnavailable("the service reservations does not answer as it should")
        return _held(response.json())


def _code(response: httpx.Response) -> object:
    """What a refusal is about: the buyer, or (`blocked`, `challenge_required`) this service itself."""
    try:
        problem = response.json()
    except ValueError:
        return None
    return problem.get("code") if isinstance(problem, dict) else None


def _held(found: dict[str, Any]) -> Held:
    return Held(
        id=str(found["id"]),
        status=found["status"],
        amount=found["amount"],
        currency=found["currency"],
        expires_at=datetime.fromisoformat(found["expiresAt"]),
        email=found["email"],
        account_id=found.get("accountId"),
        resold=found["resold"],
    )
