"""What people in a waiting room hold: a token of their place, and, guests, what makes two of their tabs one visitor.

Both are signed and bound to who got them: an account's to the account, a guest's to the network of his address. Nothing
is kept for them, so a place can be made again from its token when Redis has lost it.
"""

import base64
import hashlib
import hmac
import ipaddress
import secrets
from dataclasses import dataclass

from pydantic import SecretStr

from reservations.waiting_room.domain import MICROSECONDS
from shared.http import Account, Caller

PLACE_SECONDS_MAX = 6 * 3600  # a token older than this stands for nothing any more
TOKEN_LONGEST = 300
# Wide enough for a phone that is given another address of the same network, narrow enough to be of no use elsewhere.
IPV4_PREFIX, IPV6_PREFIX = 24, 48
_ACCOUNT = "-"  # in place of a visitor: the token is an account's


@dataclass(frozen=True, slots=True)
class Place:
    """What a token says that is valid: a place, its number, and whose it is."""

    id: str
    number: int
    holder: str


@dataclass(frozen=True, slots=True)
class Visitor:
    """A guest as his browser shows him; `credential` is what he shows."""

    id: str
    credential: str


def network_of(address: str) -> str:
    """The network that a guest's things are bound to; an address that is none is a network of its own."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return network_of(str(parsed.ipv4_mapped))
        return str(ipaddress.ip_network((int(parsed), IPV6_PREFIX), strict=False))
    return str(ipaddress.ip_network((int(parsed), IPV4_PREFIX), strict=False))


def holder_of(account: Account | None, visitor_id: str) -> str:
    """Who has one place: an account, or else a visitor."""
    return f"visitor:{visitor_id}" if account is None else f"account:{account.id}"


class Tokens:
    """Makes and reads the tokens of one site."""

    def __init__(self, secret: SecretStr) -> None:
        key = secret.get_secret_value().encode()
        self._places = hmac.new(key, b"matchday waiting room place", hashlib.sha256).digest()
        self._visitors = hmac.new(key, b"matchday waiting room visitor", hashlib.sha256).digest()

    def place(self, match_number: int, place_id: str, number: int, caller: Caller, visitor_id: str) -> str:
        """`<match>.<place>.<number>.<visitor or ->.<signature>`."""
        whose = visitor_id if caller.account is None else _ACCOUNT
        text = f"{match_number}.{place_id}.{number}.{whose}"
        return f"{text}.{self._sign(text, _bound_to(caller, whose))}"

    def read(self, match_number: int, token: str, caller: Caller, now_us: int) -> Place | None:
        """The place of a token that is good here, now, for this caller; else None."""
        text, _, signature = token.rpartition(".")
        parts = text.split(".")
        if len(token) > TOKEN_LONGEST or len(parts) != 4:
            return None
        match, place_id, number, whose = parts
        if whose == _ACCOUNT and caller.account is None:
            return None
        if not hmac.compare_digest(signature.encode(), self._sign(text, _bound_to(caller, whose)).encode()):
            return None
        # What follows we wrote ourselves.
        if int(match) != match_number or int(number) + PLACE_SECONDS_MAX * MICROSECONDS < now_us:
            return None
        account = caller.account if whose == _ACCOUNT else None
        return Place(place_id, int(number), holder_of(account, whose))

    def visitor(self, credential: str | None, caller: Caller, key: str | None) -> Visitor:
        """Who a guest is: the one of his credential if it is good here, else somebody new.

        The same idempotency key, from the same network, makes the same new one, so that a repetition is harmless.
        """
        if credential is not None:
            visitor_id = credential.partition(".")[0]
            if hmac.compare_digest(credential.encode(), self._credential(visitor_id, caller).encode()):
                return Visitor(visitor_id, credential)
        made = secrets.token_hex(8)
        if key is not None:
            text = f"new {network_of(caller.address)} {key}".encode()
            made = hmac.new(self._visitors, text, hashlib.sha256).hexdigest()[:16]
        return Visitor(made, self._credential(made, caller))

    def _credential(self, visitor_id: str, caller: Caller) -> str:
        digest = hmac.new(self._visitors, f"{visitor_id} {network_of(caller.address)}".encode(), hashlib.sha256)
        return f"{visitor_id}.{_text(digest.digest())}"

    def _sign(self, text: str, bound_to: str) -> str:
        return _text(hmac.new(self._places, f"{text} {bound_to}".encode(), hashlib.sha256).digest())


def _bound_to(caller: Caller, whose: str) -> str:
    # A guest who signs in while he waits keeps his place.
    if whose == _ACCOUNT:
        assert caller.account is not None
        return f"account {caller.account.id}"
    return f"network {network_of(caller.address)}"


def _text(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()
