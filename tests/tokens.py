"""Access tokens as `users` signs them, and the key set to verify them by, for tests that need no `users`."""

import json
import time
import uuid
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

TTL_SECONDS = 86_400  # a token made when the tests are collected must outlive the run


class Signer:
    """One signing key of a site; whoever has its key set believes its tokens."""

    def __init__(self, kid: str = "test-key") -> None:
        self.kid = kid
        self.key = Ed25519PrivateKey.generate()

    def jwks(self) -> dict[str, Any]:
        """The published part."""
        public = json.loads(OKPAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [{**public, "kid": self.kid, "use": "sig", "alg": "EdDSA"}]}

    def claims(self, *roles: str, account_id: str | None = None, password_ago: int = 0) -> dict[str, Any]:
        """The claims of a new token for an account whose owner gave the password so many seconds ago."""
        now = int(time.time())
        return {
            "iss": "matchday",
            "aud": ["matchday"],
            "sub": account_id or str(uuid.uuid4()),
            "email": "ada@example.org",
            "email_verified": True,
            "roles": ["buyer", *roles],
            "sid": str(uuid.uuid4()),
            "iat": now,
            "auth_time": now - password_ago,
            "exp": now + TTL_SECONDS,
            "jti": str(uuid.uuid4()),
            "csrf": "",
        }

    def sign(self, claims: dict[str, Any], **headers: Any) -> str:
        """A token with these claims."""
        return jwt.encode(claims, self.key, algorithm="EdDSA", headers={"kid": self.kid, "typ": "at+jwt", **headers})

    def bearer(self, *roles: str, account_id: str | None = None, password_ago: int = 0) -> dict[str, str]:
        """The header that signs in."""
        claims = self.claims(*roles, account_id=account_id, password_ago=password_ago)
        return {"Authorization": f"Bearer {self.sign(claims)}"}
