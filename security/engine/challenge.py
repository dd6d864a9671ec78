"""The challenge: a proof of work (ALTCHA's, version 2), bound to who asked for it; and the pass that a solution earns.

Nothing is kept for a challenge: it is signed, and so is the pass. Its nonce is remembered only when it was solved, so
that a solution counts once.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from typing import Any

import altcha
from pydantic import SecretStr

ALGORITHM = "PBKDF2/SHA-256"
SOLUTION_HEADER = "X-Challenge-Solution"
PASS_HEADER = "X-Challenge-Pass"  # noqa: S105 - a header's name
PASS_COOKIE = "matchday_pass"  # noqa: S105
SOLUTION_LONGEST = 4096
PASS_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Solved:
    """A solution that is right; whether it was used before only the store knows."""

    id: str


class Challenges:
    """Makes and checks the challenges of one site."""

    def __init__(self, secret: SecretStr, cost: int, tries: int, seconds: int, pass_seconds: int) -> None:
        # Keys of their own, made from the secret that all services of a site have.
        self._signing = _derive(secret, b"matchday challenge")
        self._solving = _derive(secret, b"matchday challenge solution")
        self._passing = _derive(secret, b"matchday challenge pass")
        self._cost = cost
        self._tries = tries
        self.seconds = seconds
        self.pass_seconds = pass_seconds

    def make(self, holder: str, now: float) -> dict[str, Any]:
        """A challenge for this address, as ALTCHA's widget and libraries take it."""
        challenge = altcha.create_challenge(
            ALGORITHM,
            self._cost,
            counter=secrets.randbelow(self._tries),
            expires_at=int(now) + self.seconds,
            data={"for": self._name(holder)},
            hmac_secret=self._signing,
            hmac_key_secret=self._solving,
        )
        return dict(challenge.to_dict())

    def check(self, payload: str, holder: str, now: float) -> Solved | None:
        """What was solved, None when the payload solves no challenge of ours, or another's, or one that is over."""
        try:
            if len(payload) > SOLUTION_LONGEST:
                return None
            read = altcha.Payload.from_dict(json.loads(base64.b64decode(payload, validate=True)))
            result = altcha.verify_solution(read, self._signing, hmac_key_secret=self._solving)
        except (binascii.Error, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        # Only what we signed is looked at, after its signature was checked.
        parameters = read.challenge.parameters
        if not result.verified or parameters.expires_at is None or parameters.expires_at < now:
            return None
        ours = (parameters.data or {}).get("for") == self._name(holder)
        return Solved(parameters.nonce) if ours else None

    def give_pass(self, solved: Solved, holder: str, now: float) -> str:
        """`<id>.<until>.<signature>`: spares its bearer, at this address, further challenges for a time."""
        text = f"{solved.id}.{int(now) + self.pass_seconds}"
        return f"{text}.{self._sign(text, holder)}"

    def read_pass(self, text: str, holder: str, now: float) -> str | None:
        """The id of a pass that is good here and now."""
        body, _, signature = text.rpartition(".")
        name, _, until = body.rpartition(".")
        if not name or len(text) > PASS_LONGEST or not until.isdecimal():
            return None
        if not hmac.compare_digest(signature.encode(), self._sign(body, holder).encode()):
            return None
        return name if int(until) > now else None

    def _sign(self, text: str, holder: str) -> str:
        return hmac.new(self._passing, f"{text} {holder}".encode(), hashlib.sha256).hexdigest()[:32]

    def _name(self, holder: str) -> str:
        # The challenge is shown to whoever asks; it need not tell an address.
        return hmac.new(self._signing, holder.encode(), hashlib.sha256).hexdigest()[:16]


def _derive(secret: SecretStr, purpose: bytes) -> bytes:
    return hmac.new(secret.get_secret_value().encode(), purpose, hashlib.sha256).digest()
