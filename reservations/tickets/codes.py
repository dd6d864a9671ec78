"""What a ticket's QR code holds: a compact JWS (RFC 7515) with Ed25519 (RFC 8037), so that a scanner needs no secret.

It names the ticket and says nothing about a person. The site's first key signs; the others verify what was printed
before. A code is made anew whenever somebody asks for it and is not kept: who reads the database has no tickets.
"""

import base64
import hashlib
import re
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from reservations.tickets.domain import Claims, InvalidTicket, Ticket

ALGORITHM = "EdDSA"
TYPE = "ticket+jwt"
CODE_LONGEST = 1000
KEYS_MAX = 16
KID_CHARS = 8
REQUIRED = ["iss", "jti", "match", "category", "seq"]
_SEED = re.compile(r"[A-Za-z0-9_-]{43}=?")


def read_seeds(text: str) -> list[bytes]:
    """The seeds of keys in a list of them, separated by commas or blanks. Raises `ValueError`."""
    words = text.replace(",", " ").split()
    if not 1 <= len(words) <= KEYS_MAX or not all(_SEED.fullmatch(word) for word in words):
        raise ValueError("one or more keys of 32 bytes in base64url (43 characters), separated by commas")
    return [base64.urlsafe_b64decode(word.rstrip("=") + "=") for word in words]


def key_id(key: Ed25519PrivateKey) -> str:
    """The beginning of the key's thumbprint (RFC 7638): short, since it stands in every code."""
    members = f'{{"crv":"Ed25519","kty":"OKP","x":"{_public(key)}"}}'
    return _base64(hashlib.sha256(members.encode()).digest())[:KID_CHARS]


def _public(key: Ed25519PrivateKey) -> str:
    return _base64(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class TicketCodes:
    """Signs and reads the codes of one site; `issuer` is its name in the federation."""

    def __init__(self, seeds: list[bytes], issuer: str) -> None:
        keys = [Ed25519PrivateKey.from_private_bytes(seed) for seed in seeds]
        self._signing = (key_id(keys[0]), keys[0])
        self._keys = {key_id(key): key for key in keys}
        self._issuer = issuer

    def sign(self, ticket: Ticket) -> str:
        """The ticket's code; the same for the same ticket and key."""
        kid, key = self._signing
        claims = {
            "iss": self._issuer,
            "jti": ticket.id,
            "match": ticket.match_number,
            "category": ticket.category,
            "seq": ticket.number,
        }
        return jwt.encode(claims, key, ALGORITHM, headers={"typ": TYPE, "kid": kid})

    def read(self, code: str) -> Claims:
        """What a code says. Raises `InvalidTicket` unless one of this site's keys signed exactly this."""
        try:
            header = jwt.get_unverified_header(code)
            key = self._keys.get(str(header.get("kid")))
            if header.get("typ") != TYPE or key is None:
                raise InvalidTicket("the code is not signed by a key of this site")
            options: Any = {"require": REQUIRED}
            claims = jwt.decode(code, key.public_key(), [ALGORITHM], issuer=self._issuer, options=options)
        except (jwt.InvalidTokenError, ValueError) as error:
            raise InvalidTicket("the code cannot be read, or its signature is wrong") from error
        return Claims(str(claims["jti"]), int(claims["match"]), int(claims["category"]), int(claims["seq"]))

    def jwks(self) -> list[dict[str, str]]:
        """The public keys (RFC 7517), the signing one first: all that a scanner without a network needs."""
        return [
            {"kty": "OKP", "crv": "Ed25519", "x": _public(key), "kid": kid, "alg": ALGORITHM, "use": "sig"}
            for kid, key in self._keys.items()
        ]
