"""Rules of accounts: passwords, addresses, and which key signs and is published when."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ValidationFailed
from users.domain import (
    KEY_MARGIN,
    MailToken,
    Purpose,
    SigningKey,
    check_password,
    email_key,
    next_key_signs_from,
    normalized,
    published_keys,
    signing_key,
)

NOW = datetime(2022, 11, 20, 16, tzinfo=UTC)
TOKEN = timedelta(minutes=10)
LASTS = timedelta(days=90)
LEAD = timedelta(minutes=15)


def key(kid: str, signs_from: datetime) -> SigningKey:
    return SigningKey(kid, "x", b"sealed", signs_from)


def kids(keys: list[SigningKey]) -> list[str]:
    return [each.kid for each in keys]


def test_addresses_are_the_same_in_any_case_of_letters() -> None:
    assert email_key("Ada@Example.ORG") == email_key("ada@example.org")


def test_a_password_is_the_same_however_a_keyboard_writes_it() -> None:
    assert normalized("A\u030angstro\u0308m") == normalized("Ångström")


@pytest.mark.parametrize("password", ["password123", "PassWord123", "aaaaaaaa", "1212121212", "worldcup2022"])
def test_passwords_that_are_tried_first_are_refused(password: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        check_password(password, "ada@example.org")
    assert [(each["pointer"], each["code"]) for each in refused.value.errors] == [("/password", "too_weak")]


@pytest.mark.parametrize("password", ["ada.lovelace@example.org", "Ada.Lovelace"])
def test_the_address_is_no_password(password: str) -> None:
    with pytest.raises(ValidationFailed):
        check_password(password, "ada.lovelace@example.org")


def test_an_unusual_password_is_taken() -> None:
    check_password("correct horse battery", "ada@example.org")


def test_a_mailed_token_opens_one_thing_once_and_in_time() -> None:
    token = MailToken("id", Purpose.RESET, NOW, None)
    before = NOW - timedelta(seconds=1)
    assert token.opens(Purpose.RESET, before)
    assert not token.opens(Purpose.RESET, NOW)
    assert not token.opens(Purpose.VERIFY, before)
    assert not MailToken("id", Purpose.RESET, NOW, before).opens(Purpose.RESET, before)


def test_the_youngest_key_whose_time_has_come_signs() -> None:
    keys = [key("old", NOW - LASTS), key("new", NOW), key("next", NOW + LEAD)]
    found = signing_key(keys, NOW)
    assert found is not None
    assert found.kid == "new"
    assert signing_key([key("next", NOW + LEAD)], NOW) is None


def test_a_key_is_published_before_it_signs_and_until_its_last_token_has_expired() -> None:
    keys = [key("a", NOW - LASTS), key("b", NOW), key("c", NOW + LEAD)]
    assert kids(published_keys(keys, NOW, TOKEN)) == ["a", "b", "c"]
    last_needed = NOW + TOKEN + KEY_MARGIN
    assert "a" in kids(published_keys(keys, last_needed - timedelta(seconds=1), TOKEN))
    assert kids(published_keys(keys, last_needed, TOKEN)) == ["b", "c"]


def test_without_keys_there_is_nothing_to_publish() -> None:
    assert published_keys([], NOW, TOKEN) == []


def test_a_key_is_due_so_long_before_it_signs_that_everybody_knows_it() -> None:
    keys = [key("a", NOW - LASTS + LEAD + timedelta(seconds=1))]
    assert next_key_signs_from(keys, NOW, LASTS, LEAD) is None
    assert next_key_signs_from(keys, NOW + timedelta(seconds=1), LASTS, LEAD) == NOW + timedelta(seconds=1) + LEAD
    assert next_key_signs_from([], NOW, LASTS, LEAD) == NOW


def test_a_key_that_is_made_late_is_still_published_first() -> None:
    keys = [key("a", NOW - 2 * LASTS)]
    assert next_key_signs_from(keys, NOW, LASTS, LEAD) == NOW + LEAD


@given(st.lists(st.integers(0, 400), max_size=8), st.integers(0, 500), st.integers(0, 20))
def test_no_token_is_valid_whose_key_is_not_published(starts: list[int], signed_at: int, age: int) -> None:
    """Whenever a token is signed, its key is published until the token has expired."""
    keys = [key(str(number), NOW + timedelta(minutes=start)) for number, start in enumerate(sorted(set(starts)))]
    signed = NOW + timedelta(minutes=signed_at)
    signer = signing_key(keys, signed)
    if signer is not None and timedelta(minutes=age) <= TOKEN:
        assert signer in published_keys(keys, signed + timedelta(minutes=age), TOKEN)


@given(st.lists(st.integers(1, 2000), max_size=60))
def test_a_site_that_looks_now_and_then_always_has_a_key_and_few(pauses: list[int]) -> None:
    lasts, lead, now = timedelta(hours=10), timedelta(hours=1), NOW
    keys: list[SigningKey] = []
    for number, pause in enumerate(pauses):
        signs_from = next_key_signs_from(keys, now, lasts, lead)
        if signs_from is not None:
            keys.append(key(str(number), signs_from))
        keys = published_keys(keys, now, TOKEN)
        assert signing_key(keys, now) is not None
        assert len(keys) <= 3
        now += timedelta(minutes=pause)
