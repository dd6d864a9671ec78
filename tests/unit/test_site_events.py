"""Events of one site: what is written can be read, what is no event is refused."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from shared.site_events import EventKind, SiteEvent, decode_event, encode_event, pseudonym

whole = st.none() | st.integers(0, 2**31 - 1)
words = st.none() | st.text(max_size=80)
events = st.builds(
    SiteEvent,
    kind=st.sampled_from(EventKind),
    happened_at=st.datetimes(timezones=st.just(UTC)),
    event_id=st.uuids().map(str),
    subject=words,
    country=words,
    language=words,
    match_number=whole,
    category=whole,
    quantity=whole,
    amount=whole,
    currency=words,
    reservation_id=words,
    text=words,
    synthetic=st.booleans(),
)
VIEWED = SiteEvent(EventKind.MATCH_VIEWED, datetime(2022, 11, 20, 16, tzinfo=UTC), match_number=1)


@given(events)
def test_what_is_written_can_be_read(event: SiteEvent) -> None:
    assert decode_event(encode_event(event)) == event


def test_members_that_are_not_known_are_passed_over() -> None:
    assert decode_event(encode_event(VIEWED)[:-1] + b',"colour":"red"}') == VIEWED


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"[]",
        b"{}",
        b"\xff",
        encode_event(VIEWED).replace(b"match_viewed", b"match_eaten"),
        encode_event(VIEWED).replace(b'"matchNumber":1', b'"matchNumber":"1"'),
        encode_event(VIEWED).replace(b'"matchNumber":1', b'"matchNumber":true'),
        encode_event(VIEWED).replace(b"2022-11-20T16", b"yesterday"),
        encode_event(VIEWED).replace(b"2022-11-20T16:00:00+00:00", b"2022-11-20T16:00:00"),
        encode_event(VIEWED).replace(b"2022-11-20T16:00:00+00:00", b"0001-01-01T00:00:00+23:00"),
        encode_event(VIEWED).replace(b"2022-11-20T16:00:00+00:00", b"9999-12-31T23:59:59-23:00"),
    ],
)
def test_what_is_no_event_is_refused(value: bytes | None) -> None:
    with pytest.raises(ValueError, match="no event of a site"):
        decode_event(value)


def test_a_pseudonym_is_the_same_for_the_same_account_and_tells_nothing_without_the_secret() -> None:
    one, other = SecretStr("a" * 32), SecretStr("b" * 32)
    assert pseudonym(one, "account-1") == pseudonym(one, "account-1")
    assert len({pseudonym(one, "account-1"), pseudonym(one, "account-2"), pseudonym(other, "account-1")}) == 3
