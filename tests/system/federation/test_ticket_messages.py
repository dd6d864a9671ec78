"""Each kind of message, and each oddity seen from partners, comes out to the number at both sites."""

from typing import Any

import pytest

from tests.system.federation.conftest import OTHER
from tests.system.federation.members import Federation
from tests.system.federation.partner import CANCELLED, PENDING, RESERVED, message, tickets

SALE = {"clientId": "atlas", "saleId": "5f3c1a52-8a0e-4a7e-9f0a-6d1f4f9f2f10"}


def sale(number: int, client_id: str = "atlas") -> dict[str, str]:
    """Headers of one sale of a partner that follows the protocol."""
    return {"clientId": client_id, "saleId": f"00000000-0000-4000-8000-{number:012d}"}


# -- the three messages ----------------------------------------------------------------------------------------------


def test_a_hold_takes_from_pending_alone(federation: Federation, match: int) -> None:
    federation.send(message(PENDING, match, tickets(2, 2)))
    federation.expect(match, c2=(20, 18, 20))


def test_a_sale_after_its_hold_takes_from_reserved(federation: Federation, match: int) -> None:
    federation.send(message(PENDING, match, tickets(1, 2)))
    federation.send(message(RESERVED, match, tickets(1, 2)))
    federation.expect(match, c1=(20, 18, 18))


def test_a_cancelled_hold_gives_back_to_pending(federation: Federation, match: int) -> None:
    federation.send(message(PENDING, match, tickets(3, 2)))
    federation.send(message(PENDING, match, tickets(3, 1)))
    federation.send(message(CANCELLED, match, tickets(3, 2)))
    federation.expect(match, c3=(20, 19, 20))


def test_a_sale_with_an_id_counts_like_one_without(federation: Federation, match: int) -> None:
    for number, end in ((1, RESERVED), (2, CANCELLED), (3, None)):
        federation.send(message(PENDING, match, tickets(1, 2)), sale(number))
        if end:
            federation.send(message(end, match, tickets(1, 2)), sale(number))
    federation.expect(match, c1=(20, 16, 18))
    assert federation.ours.flags(match) == federation.other.flags(match) == []


# -- who sent it -----------------------------------------------------------------------------------------------------


def with_client(match: int, place: str, client_id: str | int) -> tuple[dict[str, Any], dict[str, str]]:
    """A hold of 1 in category 1 whose sender is named at this place."""
    document = message(PENDING, match, tickets(1, 1))
    if place == "header":
        return document, {"clientId": str(client_id)}
    inner = {"meta": document["meta"], "body": document["body"]}.get(place.partition(".")[0], document)
    inner["id" if place == "body.id" else "clientId"] = client_id
    return document, {}


@pytest.mark.parametrize(
    ("place", "foreign", "own"),
    [
        ("header", "atlas", OTHER),
        ("meta.clientId", "atlas", OTHER),
        ("body.clientId", "atlas", OTHER),
        ("body.id", 18, int(OTHER)),
        ("top level", "atlas", OTHER),
    ],
)
def test_the_client_id_is_found_and_the_own_one_moves_no_counter(
    federation: Federation, match: int, place: str, foreign: str | int, own: str | int
) -> None:
    federation.send(*with_client(match, place, foreign))
    federation.expect(match, c1=(20, 19, 20))
    federation.send(*with_client(match, place, own))
    federation.expect_at(federation.ours, match, c1=(20, 18, 20))
    federation.expect_at(federation.other, match, c1=(20, 19, 20))
    assert federation.other.flags(match) == ["own_client_id"]
    assert federation.ours.flags(match) == []


def test_a_message_without_any_client_id_is_somebody_elses(federation: Federation, match: int) -> None:
    federation.send(message(PENDING, match, tickets(1, 1)))
    federation.expect(match, c1=(20, 19, 20))


def test_an_own_client_id_on_a_sale_that_is_not_ours_moves_no_counter_here(federation: Federation, match: int) -> None:
    federation.send(message(PENDING, match, tickets(1, 2)), sale(1, OTHER))
    federation.send(message(RESERVED, match, tickets(1, 2)), sale(1, OTHER))
    federation.expect_at(federation.other, match)
    federation.expect_at(federation.ours, match, c1=(20, 18, 18))
    assert federation.other.flags(match) == ["own_client_id"] * 2


# -- form ------------------------------------------------------------------------------------------------------------


def test_a_list_of_one_counts_like_an_object(federation: Federation, match: int) -> None:
    document = message(PENDING, match, tickets(2, 1))
    document["body"]["tickets"] = [document["body"]["tickets"]]
    federation.send(document)
    federation.expect(match, c2=(20, 19, 20))


def test_a_list_of_tickets_counts_in_every_category_it_names(federation: Federation, match: int) -> None:
    federation.send(message(PENDING, match, tickets(1, 1), tickets(2, 2), tickets(3, 1), tickets(1, 2)), sale(1))
    federation.expect(match, c1=(20, 17, 20), c2=(20, 18, 20), c3=(20, 19, 20))
    federation.send(message(RESERVED, match, tickets(1, 3 - 1), tickets(1, 1), tickets(2, 2), tickets(3, 1)), sale(1))
    federation.expect(match, c1=(20, 17, 17), c2=(20, 18, 18), c3=(20, 19, 19))


def test_a_list_with_one_bad_line_counts_nowhere(federation: Federation, match: int) -> None:
    bad = (tickets(2, 3), tickets(4, 1), tickets(2, 0), {"category": 2})
    for line in bad:
        federation.send(message(PENDING, match, tickets(1, 1), line))
    federation.expect(match)


def test_a_list_for_which_one_pool_has_no_room_is_rejected_as_a_whole(federation: Federation, match: int) -> None:
    for _ in range(10):
        federation.send(message(PENDING, match, tickets(3, 2)))
    federation.send(message(PENDING, match, tickets(1, 2), tickets(3, 1)), sale(1))
    federation.expect(match, c3=(20, 0, 20))
    federation.send(message(CANCELLED, match, tickets(1, 2), tickets(3, 1)), sale(1))
    federation.expect(match, c3=(20, 0, 20))


def test_a_match_number_may_be_digits(federation: Federation, match: int) -> None:
    federation.send(message(PENDING, str(match), tickets(1, 1)))
    federation.send(message(PENDING, f"{match:04d}", tickets(1, 2)))
    federation.expect(match, c1=(20, 17, 20))


def test_extra_keys_are_passed_over_wherever_they_are(federation: Federation, match: int) -> None:
    document = message(PENDING, match, tickets(1, 1, seat={"row": 3}), at="now", version=2)
    document["body"] |= {"email": "a@b.example", "total": None}
    document |= {"id": [1, 2], "trace": {}}
    federation.send(document)
    federation.expect(match, c1=(20, 19, 20))
    assert federation.ours.flags(match) == []


@pytest.mark.parametrize("price", [125, 74.99, 0, None, "75"])
def test_a_wrong_price_counts_and_is_flagged(federation: Federation, match: int, price: Any) -> None:
    place = federation.send(message(PENDING, match, tickets(1, 2, price=price)), {"clientId": "atlas"})
    federation.expect(match, c1=(20, 18, 20))
    for member in federation.members:
        (flag,) = member.evidence(match)
        assert (flag["kind"], flag["client_id"], flag["quantity"]) == ("price_mismatch", "atlas", 2)
        assert (flag["partition"], flag["offset"]) == (place.partition, place.offset)


def test_a_record_key_is_not_needed_and_a_wrong_one_does_no_harm(federation: Federation, match: int) -> None:
    federation.send(message(PENDING, match, tickets(1, 1)), key=None)
    federation.send(message(PENDING, match, tickets(1, 1)), key=b"64-3")
    federation.send(message(PENDING, match, tickets(1, 1)), key=b"\xff")
    federation.expect(match, c1=(20, 17, 20))


# -- order and number ------------------------------------------------------------------------------------------------


def test_a_sale_without_its_hold_counts_as_sold_and_is_flagged(federation: Federation, match: int) -> None:
    federation.send(message(RESERVED, match, tickets(1, 2)))
    federation.send(message(RESERVED, match, tickets(2, 1)), sale(1))
    federation.expect(match, c1=(20, 18, 18), c2=(20, 19, 19))
    assert federation.ours.flags(match) == federation.other.flags(match) == ["orphan_reserved"] * 2


def test_a_sale_beyond_the_anonymous_balance_takes_what_is_held(federation: Federation, match: int) -> None:
    federation.send(message(PENDING, match, tickets(1, 1)))
    federation.send(message(RESERVED, match, tickets(1, 2)))
    federation.expect(match, c1=(20, 18, 18))
    assert [(flag["kind"], flag["detail"]) for flag in federation.ours.evidence(match)] == [
        ("orphan_reserved", "1 of 2 were held")
    ]


def test_a_cancellation_without_its_hold_gives_nothing_back(federation: Federation, match: int) -> None:
    federation.send(message(CANCELLED, match, tickets(1, 2)))
    federation.send(message(CANCELLED, match, tickets(2, 2)), sale(1))
    federation.expect(match)
    assert federation.ours.flags(match) == federation.other.flags(match) == ["orphan_cancelled"] * 2


def test_a_cancellation_beyond_the_anonymous_balance_gives_back_what_is_held(
    federation: Federation, match: int
) -> None:
    federation.send(message(PENDING, match, tickets(1, 1)))
    federation.send(message(CANCELLED, match, tickets(1, 2)))
    federation.expect(match)
    assert federation.other.flags(match) == ["orphan_cancelled"]


def test_an_anonymous_message_cannot_touch_the_hold_of_a_sale(federation: Federation, match: int) -> None:
    federation.send(message(PENDING, match, tickets(1, 2)), sale(1))
    federation.send(message(CANCELLED, match, tickets(1, 2)))
    federation.send(message(CANCELLED, match, tickets(1, 2)), sale(1, "boreas"))
    federation.expect(match, c1=(20, 18, 20))


def test_more_anonymous_holds_than_tickets_count_and_are_flagged(federation: Federation, match: int) -> None:
    for _ in range(12):
        last = federation.send(message(PENDING, match, tickets(1, 2)), {"clientId": "atlas"})
    federation.expect(match, c1=(20, -4, 20))
    for member in federation.members:
        flags = member.evidence(match)
        assert [flag["kind"] for flag in flags] == ["over_committed"] * 2
        assert (flags[-1]["client_id"], flags[-1]["partition"], flags[-1]["offset"]) == ("atlas", 0, last.offset)


def test_more_holds_of_sales_than_tickets_are_rejected_from_the_first_that_does_not_fit(
    federation: Federation, match: int
) -> None:
    for number in range(9):
        federation.send(message(PENDING, match, tickets(1, 2)), sale(number))
    federation.send(message(PENDING, match, tickets(1, 1)), sale(9))
    federation.send(message(PENDING, match, tickets(1, 2)), sale(10))
    federation.send(message(PENDING, match, tickets(1, 1)), sale(11))
    federation.send(message(PENDING, match, tickets(1, 1)), sale(12))
    federation.send(message(CANCELLED, match, tickets(1, 2)), sale(10))
    federation.expect(match, c1=(20, 0, 20))
    assert federation.ours.flags(match) == []


def test_a_sale_that_was_rejected_and_charged_all_the_same_counts_as_a_violation(
    federation: Federation, match: int
) -> None:
    for number in range(11):
        federation.send(message(PENDING, match, tickets(1, 2)), sale(number))
    federation.send(message(RESERVED, match, tickets(1, 2)), sale(10))
    federation.expect(match, c1=(20, -2, 18))
    assert federation.ours.flags(match) == federation.other.flags(match) == ["reserved_after_rejection"]


def test_equal_bytes_at_two_offsets_are_two_messages(federation: Federation, match: int) -> None:
    twice = message(PENDING, match, tickets(1, 2))
    assert federation.send(twice).offset + 1 == federation.send(twice).offset
    federation.expect(match, c1=(20, 16, 20))


def test_equal_bytes_at_two_offsets_are_one_message_when_a_sale_id_says_so(federation: Federation, match: int) -> None:
    for action in (PENDING, PENDING, RESERVED, RESERVED, PENDING):
        federation.send(message(action, match, tickets(1, 2)), sale(1))
    federation.expect(match, c1=(20, 18, 18))
    assert federation.ours.flags(match) == federation.other.flags(match) == ["duplicate"] * 3


def test_one_sale_id_of_two_sites_is_two_sales(federation: Federation, match: int) -> None:
    for client_id in ("atlas", "boreas"):
        federation.send(message(PENDING, match, tickets(1, 2)), sale(1, client_id))
    federation.send(message(RESERVED, match, tickets(1, 2)), sale(1, "boreas"))
    federation.expect(match, c1=(20, 16, 18))


def test_all_of_it_at_once_comes_out_to_the_number(federation: Federation, match: int) -> None:
    for number in range(1, 6):
        federation.send(message(PENDING, match, tickets(1, 2)), sale(number))
        federation.send(message(PENDING, match, tickets(1, 1)))
    for number in (1, 2):
        federation.send(message(RESERVED, match, tickets(1, 2)), sale(number))
    federation.send(message(CANCELLED, match, tickets(1, 2)), sale(3))
    federation.send(message(RESERVED, match, tickets(1, 2)))
    federation.send(message(CANCELLED, match, tickets(1, 1)))
    # held: sales 4 and 5, and 2 of 5 anonymous ones; sold: sales 1 and 2, and 2 anonymous ones
    federation.expect(match, c1=(20, 20 - 6 - 6, 20 - 6))
