"""What payments sends to Stripe is what was recorded; `make stripe-contract` tries that against Stripe's own schema."""

import json

from matchday.stripe_standin.app import LISTS, OPERATIONS
from tests.stripe_requests import GOLDEN, record


def test_every_request_to_stripe_is_a_recorded_one() -> None:
    assert record() == json.loads(GOLDEN.read_text("utf-8")), (
        "python -m tests.stripe_requests, then make stripe-contract"
    )


def test_what_moves_money_or_makes_something_has_an_idempotency_key() -> None:
    for request in record():
        assert request["idempotencyKey"] == (request["method"] == "POST"), request["what"]


def test_the_stand_in_knows_every_one_of_them() -> None:
    for request in record():
        known = any(
            method == request["method"] and pattern.fullmatch(request["path"]) for method, pattern, *_ in OPERATIONS
        )
        assert known or (request["method"] == "GET" and request["path"] in LISTS), request["what"]


def test_a_card_is_sent_to_one_address_only() -> None:
    sent = {request["path"] for request in record() if "4242424242424242" in json.dumps(request)}
    assert sent == {"/v1/payment_methods"}
