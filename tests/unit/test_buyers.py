"""Who the purchase limit takes for one buyer."""

import pytest

from reservations.domain import buyer_of


@pytest.mark.parametrize(
    "email",
    ["ada.love@gmail.com", "adalove@gmail.com", "Ada.Love+cup@GoogleMail.com", "a.d.a.l.o.v.e+1+2@gmail.com"],
)
def test_addresses_of_one_mailbox_are_one_buyer(email: str) -> None:
    assert buyer_of(email) == "adalove@gmail.com"


@pytest.mark.parametrize(
    ("email", "buyer"),
    [
        ("Ada.Love@example.org", "ada.love@example.org"),  # elsewhere a dot tells mailboxes apart
        ("+cup@example.org", "+cup@example.org"),  # nothing would be left
        ("ada+cup@example.org", "ada@example.org"),
        ('"a@b"@example.org', '"a@b"@example.org'),
    ],
)
def test_what_may_be_another_mailbox_is_another_buyer(email: str, buyer: str) -> None:
    assert buyer_of(email) == buyer


def test_a_second_look_changes_nothing() -> None:
    for email in ("A.b+c@gmail.com", "+@x.org", "x+y@z.org"):
        assert buyer_of(buyer_of(email)) == buyer_of(email)
