"""Guests' access tokens: `<reservation id>.<HMAC-SHA256>`, so that they can be given again and need no table."""

import base64
import hashlib
import hmac

from pydantic import SecretStr

from shared.errors import Forbidden, Unauthenticated
from shared.http import bearer_token

PURPOSE = b"matchday guest reservation "


class AccessTokens:
    """Makes and checks the tokens of one site."""

    def __init__(self, secret: SecretStr) -> None:
        self._key = secret.get_secret_value().encode()

    def token(self, reservation_id: str) -> str:
        """The token that opens this reservation and nothing else."""
        digest = hmac.new(self._key, PURPOSE + reservation_id.encode(), hashlib.sha256).digest()
        return f"{reservation_id}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"

    def opened(self) -> str:
        """The id of the reservation that the request's token opens. Raises `Unauthenticated`."""
        token = bearer_token()
        if token is None:
            raise Unauthenticated("send the reservation's access token as Authorization: Bearer")
        reservation_id = token.partition(".")[0]
        if not hmac.compare_digest(token.encode(), self.token(reservation_id).encode()):
            raise Unauthenticated("the access token is not valid")
        return reservation_id

    def check(self, reservation_id: str) -> None:
        """Raises `Unauthenticated` without a valid token, `Forbidden` when it opens another reservation."""
        if self.opened() != reservation_id:
            raise Forbidden("the access token belongs to another reservation")
