"""Whose token it is: what is taken, what is not, and what happens while the keys are out of reach."""

import base64
import hashlib
import hmac
import json
import threading
import uuid
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shared.errors import CsrfFailed, DependencyUnavailable, Unauthenticated
from shared.http import identity
from shared.http.callers import Account, check_csrf
from shared.http.identity import JwksAccounts

NOW = 1_700_000_000.0
ME = str(uuid.uuid4())


def text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Issuer:
    """A users service as verifiers see it."""

    def __init__(self) -> None:
        self.keys: dict[str, Ed25519PrivateKey] = {}
        self.away = False
        self.asked = 0
        self.more: list[dict[str, Any]] = []
        self.add("one")

    def add(self, kid: str) -> None:
        self.keys[kid] = Ed25519PrivateKey.generate()

    def fetch(self) -> dict[str, Any]:
        self.asked += 1
        if self.away:
            raise httpx.ConnectError("nobody answers")
        return {"keys": [*self.more, *(self.jwk(kid) for kid in self.keys)]}

    def jwk(self, kid: str) -> dict[str, Any]:
        public = self.keys[kid].public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return {"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": kid, "x": text(public)}

    def token(self, kid: str = "one", key: Any = None, header: dict[str, Any] | None = None, **claims: Any) -> str:
        usual = {
            "iss": "matchday", "aud": ["matchday"], "sub": ME, "email": "ada@example.org", "email_verified": True,
            "roles": ["buyer"], "sid": "a session", "csrf": "c" * 64, "iat": NOW, "exp": NOW + 600, "jti": "1",
        }  # fmt: skip
        content = {name: value for name, value in (usual | claims).items() if value is not None}
        headers = {"kid": kid, "typ": "at+jwt", **(header or {})}
        headers = {name: value for name, value in headers.items() if value is not None or name == "typ"}
        return jwt.encode(content, key or self.keys[kid], "EdDSA", headers=headers)


class Verifier(JwksAccounts):
    """One with a clock that tests move."""

    def __init__(self, issuer: Issuer) -> None:
        self.time = NOW
        super().__init__(issuer.fetch, "matchday", 300, lambda: self.time)

    def bearer(self, token: str) -> Account | None:
        return self.account({"HTTP_AUTHORIZATION": f"Bearer {token}"})


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def verifier(issuer: Issuer) -> Verifier:
    return Verifier(issuer)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "UNKNOWN_KEY_SECONDS", 0.0)


def test_a_token_tells_its_account(issuer: Issuer, verifier: Verifier) -> None:
    account = verifier.bearer(issuer.token(roles=["buyer", "gate"]))
    assert account == Account(
        ME, "ada@example.org", True, frozenset({"buyer", "gate"}), "a session", by_cookie=False, csrf="c" * 64
    )


@pytest.mark.parametrize(("locale", "told"), [("pt-BR", "pt-BR"), (None, None), (7, None), (["fr"], None)])
def test_a_token_tells_the_language_that_its_owner_reads(
    issuer: Issuer, verifier: Verifier, locale: object, told: str | None
) -> None:
    account = verifier.bearer(issuer.token(locale=locale))
    assert account is not None
    assert account.language == told


def test_nobody_is_signed_in_without_a_token(verifier: Verifier) -> None:
    assert verifier.account({}) is None
    assert verifier.account({"HTTP_COOKIE": "other=1; matchday_access="}) is None


def test_a_bearer_that_is_no_jwt_is_somebody_else_s(verifier: Verifier) -> None:
    assert verifier.bearer(f"{uuid.uuid4()}.AbCd") is None
    assert verifier.bearer("a-service-token") is None


def test_a_cookie_signs_a_page_in_and_says_so(issuer: Issuer, verifier: Verifier) -> None:
    account = verifier.account({"HTTP_COOKIE": f"a=b; matchday_access={issuer.token()}"})
    assert account is not None
    assert account.by_cookie


def test_a_bearer_wins_over_a_cookie(issuer: Issuer, verifier: Verifier) -> None:
    environ = {"HTTP_AUTHORIZATION": "Bearer guest.token", "HTTP_COOKIE": f"matchday_access={issuer.token()}"}
    assert verifier.account(environ) is None


def unsigned(claims: dict[str, Any], header: dict[str, Any]) -> str:
    return ".".join([text(json.dumps(header).encode()), text(json.dumps(claims).encode()), ""])


def forgeries(issuer: Issuer) -> dict[str, str]:
    good = issuer.token()
    header, payload, signature = good.split(".")
    claims = jwt.decode(good, options={"verify_signature": False})
    public = issuer.keys["one"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    hs_header = text(json.dumps({"alg": "HS256", "typ": "at+jwt", "kid": "one"}).encode())
    by_public_key = hmac.new(public, f"{hs_header}.{payload}".encode(), hashlib.sha256).digest()
    as_admin = text(json.dumps(claims | {"roles": ["admin"]}).encode())
    return {
        "no algorithm": unsigned(claims, {"alg": "none", "typ": "at+jwt", "kid": "one"}),
        "no algorithm, old signature": unsigned(claims, {"alg": "none", "typ": "at+jwt", "kid": "one"}) + signature,
        "the public key as a secret": f"{hs_header}.{payload}.{text(by_public_key)}",
        "changed claims": f"{header}.{as_admin}.{signature}",
        "another key": issuer.token(key=Ed25519PrivateKey.generate()),
        "an unknown key id": issuer.token(header={"kid": "two"}),
        "no key id": issuer.token(header={"kid": None}),
        "a ticket": issuer.token(header={"typ": "ticket+jwt"}),
        "no type": issuer.token(header={"typ": None}),
        "another audience": issuer.token(aud=["elsewhere"]),
        "no audience": issuer.token(aud=None),
        "another issuer": issuer.token(iss="elsewhere"),
        "no end": issuer.token(exp=None),
        "no session": issuer.token(sid=None),
        "expired": issuer.token(exp=NOW - 11),
        "from the future": issuer.token(iat=NOW + 11),
        "not text": "a.b.c",
        "three dots": good + ".x",
        "too long": issuer.token(email="a" * 5000),
        "a key of its own": issuer.token(
            key=Ed25519PrivateKey.generate(), header={"jwk": issuer.jwk("one"), "jku": "http://127.0.0.1:1"}
        ),
        "something critical": issuer.token(header={"crit": ["new"], "new": 1}),
    }


@pytest.mark.parametrize("name", forgeries(Issuer()))
def test_a_token_that_was_not_given_is_refused(issuer: Issuer, verifier: Verifier, name: str) -> None:
    forged = forgeries(issuer)[name]
    if forged.count(".") == 2:
        with pytest.raises(Unauthenticated):
            verifier.bearer(forged)
    else:
        assert verifier.bearer(forged) is None
    with pytest.raises(Unauthenticated):
        verifier.account({"HTTP_COOKIE": f"matchday_access={forged}"})


def test_a_token_that_was_good_expires_all_the_same(issuer: Issuer, verifier: Verifier) -> None:
    token = issuer.token()
    verifier.bearer(token)
    verifier.time = NOW + 609  # clocks may differ by ten seconds
    verifier.bearer(token)
    verifier.time = NOW + 611
    with pytest.raises(Unauthenticated, match="expired"):
        verifier.bearer(token)


def test_a_token_is_verified_once(issuer: Issuer, verifier: Verifier, monkeypatch: pytest.MonkeyPatch) -> None:
    token = issuer.token()
    first = verifier.bearer(token)
    monkeypatch.setattr(verifier, "_decode", None)  # a second look at the signature would fail
    assert verifier.bearer(token) == first


def test_known_keys_go_on_verifying_while_users_is_away(issuer: Issuer, verifier: Verifier) -> None:
    verifier.bearer(issuer.token())
    issuer.away = True
    verifier._keys.refresh()
    assert verifier.bearer(issuer.token(jti="2")) is not None


def test_a_new_key_is_asked_for_when_it_is_met(issuer: Issuer, verifier: Verifier) -> None:
    verifier.bearer(issuer.token())
    issuer.add("two")
    assert verifier.bearer(issuer.token("two")) is not None


def test_an_unknown_key_that_cannot_be_asked_about_is_nobody_s_fault(issuer: Issuer, verifier: Verifier) -> None:
    verifier.bearer(issuer.token())
    issuer.away = True
    issuer.add("two")
    with pytest.raises(DependencyUnavailable):
        verifier.bearer(issuer.token("two"))


def test_without_any_key_nobody_can_be_told_from_a_forger(issuer: Issuer, verifier: Verifier) -> None:
    issuer.away = True
    with pytest.raises(DependencyUnavailable):
        verifier.bearer(issuer.token())


def test_a_key_that_is_taken_away_verifies_nothing_more(issuer: Issuer, verifier: Verifier) -> None:
    token = issuer.token()
    verifier.bearer(token)
    issuer.add("two")
    del issuer.keys["one"]
    verifier._keys.refresh()
    with pytest.raises(Unauthenticated):
        verifier.bearer(token)


def test_made_up_key_ids_do_not_make_us_ask(
    issuer: Issuer, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "UNKNOWN_KEY_SECONDS", 3600.0)
    verifier.bearer(issuer.token())
    for number in range(50):
        with pytest.raises(Unauthenticated):
            verifier.bearer(issuer.token(header={"kid": f"made up {number}"}))
    assert issuer.asked == 1


def test_a_key_made_right_after_a_look_is_found_at_once(
    issuer: Issuer, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "UNKNOWN_KEY_SECONDS", 3600.0)
    verifier._keys.refresh()
    issuer.add("two")
    assert verifier.bearer(issuer.token("two")) is not None


def test_many_who_meet_a_new_key_at_once_ask_once(
    issuer: Issuer, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "UNKNOWN_KEY_SECONDS", 3600.0)
    together = threading.Barrier(8)
    found: list[Account | None] = []

    def ask(number: int) -> None:
        token = issuer.token(jti=str(number))
        together.wait()
        found.append(verifier.bearer(token))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 8
    assert None not in found
    assert issuer.asked == 1


def test_keys_of_other_kinds_are_passed_over(issuer: Issuer, verifier: Verifier) -> None:
    issuer.more = [{"kty": "RSA", "n": "x", "e": "AQAB", "kid": "rsa"}, {"kty": "OKP", "crv": "X25519", "kid": "x"}]
    assert verifier.bearer(issuer.token()) is not None


@pytest.mark.parametrize("answer", [{}, {"keys": []}, {"keys": [{}]}, {"keys": 5}, {"keys": [1]}])
def test_an_answer_that_is_no_key_set_changes_nothing(
    issuer: Issuer, verifier: Verifier, answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier.bearer(issuer.token())
    monkeypatch.setattr(verifier._keys, "_fetch", lambda: answer)
    verifier._keys.refresh()
    assert verifier.bearer(issuer.token(jti="2")) is not None


def test_the_memory_of_good_tokens_is_bounded(
    issuer: Issuer, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "VERIFIED_MAX", 3)
    for number in range(10):
        assert verifier.bearer(issuer.token(jti=str(number))) is not None
    assert len(verifier._verified) <= 3


def test_a_change_by_cookie_needs_what_only_our_pages_know() -> None:
    account = Account(
        ME, "a@example.org", True, frozenset(), "s", by_cookie=True, csrf=hashlib.sha256(b"value").hexdigest()
    )
    check_csrf(account, "POST", {"HTTP_X_CSRF_TOKEN": "value"})
    check_csrf(account, "GET", {})
    wrong: list[dict[str, str]] = [{}, {"HTTP_X_CSRF_TOKEN": ""}, {"HTTP_X_CSRF_TOKEN": "other"}]
    for environ in wrong:
        with pytest.raises(CsrfFailed):
            check_csrf(account, "POST", environ)
