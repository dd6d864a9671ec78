"""Values that are valid JSON and meant to hurt: they are refused like any other, with a short reason."""

import pytest

from shared.masterlist import parse_masterlist
from shared.wire import Refused, decode

DEEP = b"[" * 1000 + b"]" * 1000
TICKETS = b'{"category":1,"quantity":1,"price":75}'
WHOLE = b'{"meta":{"action":"TICKET_PENDING"},"body":{"matchNumber":1,"tickets":' + TICKETS + b"}}"


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (b'"TICKET_PENDING"', "unknown_action"),
        (b'"matchNumber":1', "bad_match_number"),
        (b'"quantity":1', "bad_quantity"),
        (b'"category":1', "unknown_category"),
    ],
)
def test_a_value_however_deep_is_refused_with_a_short_reason(part: bytes, reason: str) -> None:
    name = part.partition(b":")[0] + b":" if b":" in part else b""
    value = WHOLE.replace(part, name + DEEP)
    with pytest.raises(Refused) as refused:
        decode(value, [])
    assert refused.value.reason == reason
    assert len(refused.value.detail) < 200


def test_a_master_list_however_deep_is_refused_with_a_short_reason() -> None:
    with pytest.raises(Refused) as refused:
        parse_masterlist(b'{"matchNumber":' + DEEP + b"}")
    assert len(refused.value.detail) < 200
