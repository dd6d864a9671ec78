"""Somebody makes up an account's token. Tried where most is to be had: an admin's route; and nothing changes."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask.testing import FlaskClient

from security.app import create_app
from security.settings import SecuritySettings
from shared.http import identity
from shared.settings import load
from tests.tokens import Signer

ENTRY = {"kind": "allow", "network": "203.0.113.0/24", "reason": "mine"}
ours, theirs = Signer("key-1"), Signer("key-1")


@pytest.fixture
def client(
    database_url: str, as_in_production: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[FlaskClient]:
    monkeypatch.setattr(identity, "fetch_from", lambda _: ours.jwks)
    given = {"PORT": "1", "DATABASE_URL": database_url, "SERVICE_TOKEN": "the-service-token", **as_in_production}
    given["RATE_SCALE"] = "100"  # more is tried here than one address may
    app = create_app(load(SecuritySettings, given))
    yield app.test_client(use_cookies=False)
    app.stop()
    app.end()


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(algorithm: str) -> str:
    return f"{part({'alg': algorithm, 'typ': 'at+jwt', 'kid': 'key-1'})}.{part(ours.claims('admin'))}."


def by_public_key() -> str:
    # Who verifies with whatever algorithm the token names takes the public key for a shared secret.
    public = ours.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return jwt.encode(ours.claims("admin"), public, algorithm="HS256", headers={"kid": "key-1", "typ": "at+jwt"})


def with_other_claims() -> str:
    head, _, signature = ours.sign(ours.claims()).split(".")
    return f"{head}.{part(ours.claims('admin'))}.{signature}"


def changed(**claims: Any) -> str:
    made = {name: value for name, value in (ours.claims("admin") | claims).items() if value is not ...}
    return ours.sign(made)


NOW = int(time.time())
FORGED: dict[str, Callable[[], str]] = {
    "alg none": lambda: unsigned("none"),
    "alg None": lambda: unsigned("None"),
    "no signature": lambda: unsigned("EdDSA"),
    "the public key as a secret": by_public_key,
    "another key by the same name": lambda: theirs.sign(theirs.claims("admin")),
    "an unknown key": lambda: Signer("key-2").sign(ours.claims("admin")),
    "a key from a path": lambda: ours.sign(ours.claims("admin"), kid="../../dev/null"),
    "a key that it brings along": lambda: theirs.sign(theirs.claims("admin"), jwk=theirs.jwks()["keys"][0]),
    "a key from elsewhere": lambda: theirs.sign(theirs.claims("admin"), jku="http://127.0.0.1:1/jwks.json"),
    "other claims under a good signature": with_other_claims,
    "expired": lambda: changed(iat=NOW - 7200, exp=NOW - 3600),
    "from the future": lambda: changed(iat=NOW + 3600, exp=NOW + 7200),
    "another audience": lambda: changed(aud=["somebody-else"]),
    "no audience": lambda: changed(aud=...),
    "another issuer": lambda: changed(iss="atlas"),
    "no end": lambda: changed(exp=...),
    "no subject": lambda: changed(sub=...),
    "another kind of token": lambda: ours.sign(ours.claims("admin"), typ="ticket+jwt"),
    "no kind": lambda: ours.sign(ours.claims("admin"), typ="JWT"),
    "a huge one": lambda: changed(padding="x" * 10_000),
    "nonsense": lambda: "a.b.c",
    "empty parts": lambda: "..",
}


@pytest.mark.parametrize("where", ["header", "cookie"])
def test_a_forged_token_opens_nothing(client: FlaskClient, where: str) -> None:
    for what, forge in FORGED.items():
        token = forge()
        if where == "header":
            headers = {"Authorization": f"Bearer {token}"}
        else:
            headers = {"Cookie": f"matchday_access={token}", "X-CSRF-Token": "x"}
        made = client.post("/api/security/lists", json=ENTRY, headers=headers)
        assert (made.status_code, made.get_json()["code"]) == (401, "unauthenticated"), what
        assert client.get("/api/security/audit", headers=headers).status_code == 401, what
    assert client.get("/api/security/lists", headers=ours.bearer("admin")).get_json()["items"] == []


def test_a_good_token_without_the_role_is_not_enough(client: FlaskClient) -> None:
    wrong: list[list[Any]] = [["gate"], ["partner"], ["Admin"], ["admin "], [["admin"]], []]
    for roles in wrong:
        headers = {"Authorization": f"Bearer {changed(roles=roles)}"}
        assert client.post("/api/security/lists", json=ENTRY, headers=headers).status_code == 403, roles


def test_the_real_one_works(client: FlaskClient) -> None:
    assert client.post("/api/security/lists", json=ENTRY, headers=ours.bearer("admin")).status_code == 201
