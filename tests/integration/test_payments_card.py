"""Cards on the server, for the partners' reference route: charged once, and neither stored nor logged."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from matchday.servers import Postgres
from payments import reservations
from payments.settings import StripeSettings
from reservations.cashier import CHARGE_SECONDS_MAX
from tests.eventually import eventually
from tests.logs import logging_to
from tests.resources import Databases
from tests.till import Till, open_till

EARNED = {"stripe": 25_000, "sales": -25_000}
DECLINES = {
    "4000000000000002": "generic_decline",
    "4000000000009995": "insufficient_funds",
    "4000000000009987": "lost_card",
    "4000000000000069": "expired_card",
    "4000000000000127": "incorrect_cvc",
    "4000000000000119": "processing_error",
    "4242424242424241": "incorrect_number",
    "4539148803436467": "test_mode_live_card",
    "4000000000003220": "authentication_required",
}


@pytest.fixture(scope="module")
def opened(_postgres: Postgres, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    databases = Databases(_postgres, _template)
    with open_till(databases.create(), tmp_path_factory.mktemp("till")) as till:
        yield till
    databases.drop_all()


@pytest.fixture
def till(opened: Till) -> Iterator[Till]:
    yield opened
    opened.stripe.no_faults()
    opened.stripe.let_go()
    eventually(opened.stripe.quiet)
    assert opened.unbalanced() == 0, "the books sum to zero after every test"


def _charged(till: Till, held: Any) -> int:
    """What Stripe has taken for a reservation."""
    return sum(intent.amount_received for intent in till.intents_of(held))


def test_a_card_is_charged_the_exact_amount_and_the_tickets_are_told(till: Till) -> None:
    held = till.twin.hold(12_345)
    answer = till.charge_card(held)
    assert answer.status_code == 201
    assert (answer.json()["status"], answer.json()["amount"]) == ("succeeded", 12_345)
    till.settle()
    assert _charged(till, held) == 12_345
    assert till.books(answer.json()["id"]) == {"stripe": 12_345, "sales": -12_345}


@pytest.mark.parametrize(("number", "decline"), DECLINES.items())
def test_a_declined_card_says_why_and_nothing_is_charged(till: Till, number: str, decline: str) -> None:
    held = till.twin.hold()
    answer = till.charge_card(held, number)
    assert (answer.status_code, answer.json()["code"], answer.json()["declineCode"]) == (402, "card_declined", decline)
    till.settle()
    assert _charged(till, held) == 0
    assert till.twin.told_of(held.id) == []


def test_after_a_declined_card_another_is_taken(till: Till) -> None:
    held = till.twin.hold()
    assert till.charge_card(held, "4000000000000002").status_code == 402
    assert till.charge_card(held).status_code == 201
    till.settle()
    assert _charged(till, held) == 25_000


@pytest.mark.parametrize("changed", [{"amount": 24_999}, {"amount": 1}, {"currency": "EUR"}])
def test_an_amount_that_is_not_the_reservations_is_not_charged(till: Till, changed: dict[str, Any]) -> None:
    held = till.twin.hold()
    answer = till.charge_card(held, **changed)
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_amount")
    assert _charged(till, held) == 0


@pytest.mark.parametrize("status", ["cancelled", "expired", "lost", "submitted", "reserved"])
def test_a_card_is_not_charged_for_what_is_not_held(till: Till, status: str) -> None:
    held = till.twin.hold(status=status)
    assert till.charge_card(held).status_code == 409
    assert _charged(till, held) == 0


def test_the_same_card_many_times_at_once_is_charged_once(till: Till) -> None:
    held = till.twin.hold()
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: till.charge_card(held), range(6)))
    assert {answer.status_code for answer in answers} <= {201, 503}
    assert any(answer.status_code == 201 for answer in answers)
    till.settle()
    assert _charged(till, held) == 25_000
    assert len(till.twin.told_of(held.id)) == 1


def test_a_card_that_was_charged_while_the_answer_was_lost_is_not_charged_again(till: Till) -> None:
    held = till.twin.hold()
    till.stripe.fault(path="/v1/payment_intents/.*/confirm", when="after", hang_seconds=2)
    assert till.charge_card(held).status_code == 201
    assert till.charge_card(held).status_code == 201
    till.settle()
    assert _charged(till, held) == 25_000


def test_the_waits_end_from_the_inside_out() -> None:
    field = StripeSettings.model_fields["stripe_card_seconds_max"]
    (bound,) = [each.le for each in field.metadata if hasattr(each, "le")]
    asked = 2 * reservations.ASK_SECONDS_MAX  # to connect, and for the answer
    assert bound + asked < CHARGE_SECONDS_MAX


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_stripe_that_is_slow_all_the_time_is_waited_for_only_so_long_and_nothing_is_charged_in_vain(
    database_url: str, tmp_path: Path, when: str
) -> None:
    seconds = {"STRIPE_SECONDS_MAX": "20", "STRIPE_CARD_SECONDS_MAX": "2"}
    with open_till(database_url, tmp_path / "slow", **seconds) as till:
        held = till.twin.hold()
        till.stripe.fault(path="/v1/payment_intents/.*/confirm", when=when, hang_seconds=25)
        till.stripe.fault(method="GET", path="/v1/payment_intents/", hang_seconds=25)
        begun = time.monotonic()
        answer = till.charge_card(held)
        assert time.monotonic() - begun < 15, "two answers of twenty seconds were not waited for"
        assert (answer.status_code, answer.json()["code"]) == (503, "dependency_unavailable")
        till.stripe.no_faults()
        till.settle()
        assert _charged(till, held) == (25_000 if when == "after" else 0)
        (payment,) = till.payments_of(held)
        assert payment["outcome"] == ("reserved" if when == "after" else None)


@pytest.mark.parametrize("saved", [True, False])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_500_while_confirming_ends_in_one_charge_or_none(till: Till, when: str, saved: bool) -> None:
    held = till.twin.hold()
    till.stripe.fault(path="/v1/payment_intents/.*/confirm", when=when, saved=saved)
    first = till.charge_card(held)
    assert first.status_code == (201 if when == "after" else 503)
    assert _charged(till, held) == (25_000 if when == "after" else 0)
    assert till.charge_card(held).status_code == 201
    till.settle()
    assert _charged(till, held) == 25_000


def test_a_card_that_was_charged_and_nobody_could_be_told_is_found_by_the_worker(till: Till) -> None:
    till.stripe.hold()
    held = till.twin.hold()
    till.stripe.fault(path="/v1/payment_intents/.*/confirm", when="after")
    till.stripe.fault(method="GET", path="/v1/payment_intents/", status=503)
    answer = till.charge_card(held)
    assert (answer.status_code, answer.json()["code"]) == (503, "dependency_unavailable")
    till.settle()
    (row,) = till.payments_of(held)
    assert (row["outcome"], till.books(str(row["id"]))) == ("reserved", EARNED)


def test_a_card_is_in_no_table_and_no_log(till: Till, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "log"
    secrets = {"number": "4000056655665556", "cvc": "731"}
    card = {"number": secrets["number"], "expirationMonth": 11, "expirationYear": 2033, "cvc": secrets["cvc"]}
    wrong: list[dict[str, Any]] = [
        card,
        card | {"number": "4000000000000002"},
        card | {"number": "4000 0566 5566 555"},
        card | {"expirationMonth": 13},
        card | {"cvc": "7"},
        card | {"cvc": 731},
        card | {"number": 4000056655665556},
        card | {"surprise": secrets["number"]},
    ]
    with told.open("w") as stream, logging_to(stream, "payments", "debug"):
        for each in wrong:
            answer = till.charge_card(till.twin.hold(), card=each)
            assert secrets["number"] not in answer.text
        till.stripe.fault(path="/v1/payment_intents/.*/confirm", status=500, times=3)
        till.charge_card(till.twin.hold(), card=card)
        till.settle()
    tables = till.rows("SELECT table_name FROM information_schema.tables WHERE table_schema = 'payments'")
    kept = "".join(str(till.rows(f"SELECT * FROM payments.{row['table_name']}")) for row in tables)
    for text in (kept, told.read_text(), till.stripe.log.read_text()):
        assert len(text) > 1000
        assert "4000056655665556" not in text.replace(" ", "")
        assert "4000000000000002" not in text
        assert "'731'" not in text
        assert '"731"' not in text
