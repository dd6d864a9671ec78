"""Codes of tickets: what they say, and that nobody but the site can make one."""

import base64
import contextlib
import json
import secrets
import uuid
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from reservations.settings import TicketSettings
from reservations.tickets.codes import CODE_LONGEST, TicketCodes, key_id, read_seeds
from reservations.tickets.domain import Claims, InvalidTicket, Ticket, TicketState
from shared.settings import load

SEED = base64.urlsafe_b64encode(bytes(range(32))).decode().rstrip("=")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
CODES = TicketCodes(read_seeds(SEED), "matchday")
TICKET = Ticket(str(uuid.uuid4()), str(uuid.uuid4()), 2, 24, 3, TicketState.VALID, datetime(2022, 11, 1, tzinfo=UTC))
CLAIMS = {"iss": "matchday", "jti": TICKET.id, "match": 24, "category": 3, "seq": 2}
HEADERS = {"typ": "ticket+jwt", "kid": key_id(KEY)}


def new_seed() -> str:
    return secrets.token_urlsafe(32)


def signed(claims: dict[str, Any] = CLAIMS, key: Any = KEY, algorithm: str = "EdDSA", **headers: Any) -> str:
    return jwt.encode(claims, key, algorithm, headers={**HEADERS, **headers})


def _part(code: str, number: int) -> dict[str, Any]:
    part = code.split(".")[number]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def _with_claims(code: str, **changed: Any) -> str:
    header, _, signature = code.split(".")
    claims = json.dumps({**_part(code, 1), **changed}).encode()
    return f"{header}.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.{signature}"


def test_a_code_says_which_ticket_it_is_and_is_the_same_each_time() -> None:
    code = CODES.sign(TICKET)
    assert CODES.read(code) == Claims(TICKET.id, 24, 3, 2)
    assert CODES.sign(TICKET) == code
    assert code == signed()


def test_a_code_holds_no_more_than_a_scanner_needs_and_nothing_of_a_person() -> None:
    code = CODES.sign(TICKET)
    assert _part(code, 1) == CLAIMS
    assert _part(code, 0) == {"alg": "EdDSA", **HEADERS}
    assert len(code) < CODE_LONGEST / 3


def test_a_scanner_without_a_secret_tells_a_real_code_by_the_published_keys() -> None:
    (published,) = CODES.jwks()
    assert set(published) == {"kty", "crv", "x", "kid", "alg", "use"}
    key = jwt.PyJWK(published)
    assert jwt.decode(CODES.sign(TICKET), key, algorithms=["EdDSA"])["jti"] == TICKET.id
    assert SEED not in json.dumps(published)


PUBLIC = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
WRONG = {
    "another key, which says that it is ours": signed(key=Ed25519PrivateKey.generate()),
    "another key by its own name": signed(key=(other := Ed25519PrivateKey.generate()), kid=key_id(other)),
    "no key's name": jwt.encode(CLAIMS, KEY, "EdDSA", headers={"typ": "ticket+jwt"}),
    "no signature": jwt.encode(CLAIMS, "", "none", headers=HEADERS),
    "no signature, said to be ours": f"{signed().rpartition('.')[0]}.",
    "the public key as a shared secret": jwt.encode(
        CLAIMS, PUBLIC, "HS256", headers=HEADERS
    ),
    "another ticket": _with_claims(signed(), jti=str(uuid.uuid4())),
    "another match": _with_claims(signed(), match=25),
    "a better category": _with_claims(signed(), category=1),
    "an access token": signed(typ="at+jwt"),
    "no type": signed(typ=None),
    "another site's ticket": signed({**CLAIMS, "iss": "atlas"}),
    "nobody's ticket": signed({name: value for name, value in CLAIMS.items() if name != "iss"}),
    "no ticket at all": signed({name: value for name, value in CLAIMS.items() if name != "jti"}),
    "something that must be understood": signed(crit=["exp"], exp=1),
    "empty": "",
    "dots": "..",
    "not base64": "ä.ö.ü",
    "a long text": "x" * CODE_LONGEST,
}  # fmt: skip


@pytest.mark.parametrize("code", WRONG.values(), ids=WRONG)
def test_what_the_site_has_not_signed_is_no_ticket(code: str) -> None:
    with pytest.raises(InvalidTicket):
        CODES.read(code)


@given(st.text(max_size=300))
def test_no_text_makes_the_reader_fail_in_another_way(text: str) -> None:
    with pytest.raises(InvalidTicket):
        CODES.read(text)


@given(st.integers(0, 10**6), st.characters(codec="ascii"))
def test_no_single_change_of_a_code_makes_it_another_ticket(place: int, character: str) -> None:
    code = CODES.sign(TICKET)
    place %= len(code)
    changed = code[:place] + character + code[place + 1 :]
    with contextlib.suppress(InvalidTicket):
        # The last letter of a part has bits that mean nothing.
        assert CODES.read(changed) == CODES.read(code)


def test_a_new_key_signs_and_the_old_one_still_verifies_until_it_is_taken_away() -> None:
    old, new = new_seed(), new_seed()
    before = TicketCodes(read_seeds(old), "matchday").sign(TICKET)
    rotated = TicketCodes(read_seeds(f"{new},{old}"), "matchday")
    assert rotated.read(before) == rotated.read(rotated.sign(TICKET))
    assert rotated.jwks()[0]["kid"] == _part(rotated.sign(TICKET), 0)["kid"]
    assert len(rotated.jwks()) == 2
    with pytest.raises(InvalidTicket):
        TicketCodes(read_seeds(new), "matchday").read(before)


@pytest.mark.parametrize("text", ["", " ", ",", "short", SEED + "x", SEED + ",short", "ä" * 43, ",".join([SEED] * 17)])
def test_what_is_no_key_stops_the_process_and_is_not_printed(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load(TicketSettings, {"TICKET_KEYS": text})
    said = capsys.readouterr().err
    assert "TICKET_KEYS" in said
    assert not text.strip(" ,") or text not in said


def test_keys_are_given_in_a_list_with_commas_or_lines() -> None:
    seeds = [new_seed() for _ in range(3)]
    assert read_seeds(f"{seeds[0]}, {seeds[1]}\n{seeds[2]}\n") == read_seeds(",".join(seeds))
    assert all(len(seed) == 32 for seed in read_seeds(",".join(seeds)))
