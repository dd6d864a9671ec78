"""What is made of USERS_SECRET: the encryption of private keys, and fingerprints that nobody else can make."""

import base64
import hashlib
import hmac
import secrets

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr


class Unreadable(Exception):
    """It was encrypted with another USERS_SECRET."""


class Vault:
    """Keys derived from one secret, each for one purpose."""

    def __init__(self, secret: SecretStr) -> None:
        self._secret = secret.get_secret_value().encode()
        self._fernet = Fernet(base64.urlsafe_b64encode(self._derive(b"matchday users signing keys")))
        self._mac_key = self._derive(b"matchday users idempotency")

    def _derive(self, purpose: bytes) -> bytes:
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(self._secret)

    def seal(self, plain: bytes) -> bytes:
        """The encrypted bytes."""
        return self._fernet.encrypt(plain)

    def open(self, sealed: bytes) -> bytes:
        """What was sealed. Raises `Unreadable`."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken as error:
            raise Unreadable from error

    def fingerprint(self, content: bytes) -> bytes:
        """Tells equal contents; a plain hash of a body with a password would be a way to guess it."""
        return hmac.new(self._mac_key, content, hashlib.sha256).digest()


def new_token() -> str:
    """256 random bits, as text."""
    return secrets.token_urlsafe(32)


def hashed(token: str) -> bytes:
    """How a random token is stored: it cannot be guessed, so that a fast hash is enough."""
    return hashlib.sha256(token.encode()).digest()
