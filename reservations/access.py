"""Whose reservation is whose: an account's, or the guest's who has the access token.

Guests' tokens are `<reservation id>.<HMAC-SHA256>`, so that they can be given again and need no table.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass

from pydantic import SecretStr

from reservations.domain import Reservation
from shared.errors import Forbidden, Unauthenticated
from shared.http import Account, Caller, bearer_token

PURPOSE = b"matchday guest reservation "


@dataclass(frozen=True, slots=True)
class Opener:
    """What a caller may open: the reservations of an account, or the one of a guest's token."""

    account_id: str | None
    reservation_id: str | None

    def check_id(self, reservation_id: str) -> None:
        """Raises `Forbidden` when a guest's token is for another reservation, whether there is such a one or not."""
        if self.reservation_id is not None and self.reservation_id != reservation_id:
            raise Forbidden("the access token belongs to another reservation")

    def check(self, reservation: Reservation) -> None:
        """Raises `Forbidden` unless the reservation is the caller's."""
        self.check_id(reservation.id)
        if self.account_id is not None and self.account_id != reservation.account_id:
            raise Forbidden("the reservation belongs to somebody else")


class AccessTokens:
    """Makes and checks the guests' tokens of one site."""

    def __init__(self, secret: SecretStr) -> None:
        self._key = secret.get_secret_value().encode()

    def token(self, reservation_id: str) -> str:
        """The token that opens this reservation and nothing else."""
        digest = hmac.new(self._key, PURPOSE + reservation_id.encode(), hashlib.sha256).digest()
        return f"{reservation_id}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"

    def opener(self, caller: Caller) -> Opener:
        """What the request's account or guest's token opens. Raises `Unauthenticated`."""
        return self.of(caller.account, bearer_token() if caller.account is None else None)

    def of(self, account: Account | None, token: str | None) -> Opener:
        """What an account, or else a token, opens. Raises `Unauthenticated`."""
        if account is not None:
            return Opener(account.id, None)
        if token is None:
            raise Unauthenticated("sign in, or send the reservation's access token as Authorization: Bearer")
        reservation_id = token.partition(".")[0]
        if not hmac.compare_digest(token.encode(), self.token(reservation_id).encode()):
            raise Unauthenticated("the access token is not valid")
        return Opener(None, reservation_id)
