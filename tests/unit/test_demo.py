"""The demo's audit finds what is wrong, and its settings are checked."""

import pytest

from analytics.generator.admission import Admission, Pool
from matchday.demo import audit
from matchday.demo.__main__ import MATCHES, Wish, small_masterlist
from matchday.demo.audit import Check, Report
from matchday.demo.shoppers import Told
from matchday.errors import RunnerError
from shared.wire import Action, Line, TicketMessage

POOL, OTHER = Pool(1, 1), Pool(1, 2)


def log(*messages: tuple[Action, str, int]) -> Admission:
    admission = Admission({POOL: 3, OTHER: 3})
    for action, sale_id, quantity in messages:
        admission.apply(0, TicketMessage(action, 1, (Line(1, quantity, 75.0),), "atlas", sale_id))
    return admission


def test_holds_that_are_left_open_are_found() -> None:
    assert list(audit._open_holds({"atlas": {POOL: (1, 3), OTHER: (3, 3)}})) == ["atlas: match 1 category 1: 2 on hold"]


def test_sites_that_differ_are_found() -> None:
    same = {POOL: (1, 1), OTHER: (3, 3)}
    assert list(audit._differences({"atlas": same, "borealis": dict(same)})) == []
    assert len(list(audit._differences({"atlas": same, "borealis": same | {POOL: (2, 2)}}))) == 1
    assert len(list(audit._differences({"atlas": same, "borealis": {OTHER: (3, 3)}}))) == 1


def test_a_site_that_does_not_say_what_the_log_says_is_found() -> None:
    admission = log((Action.PENDING, "a", 2), (Action.RESERVED, "a", 2))
    assert list(audit._recounted(admission, {"atlas": {POOL: (1, 1), OTHER: (3, 3)}})) == []
    assert len(list(audit._recounted(admission, {"atlas": {POOL: (3, 3), OTHER: (3, 3)}}))) == 1


def test_a_pool_that_is_oversold_is_found() -> None:
    fair = log((Action.PENDING, "a", 2), (Action.RESERVED, "a", 2))
    assert list(audit._oversold(fair)) == []
    careless = log((Action.RESERVED, "a", 2), (Action.RESERVED, "b", 2))
    assert len(list(audit._oversold(careless))) == 1


def test_money_that_does_not_fit_is_found() -> None:
    assert list(audit._money({"atlas": 7500}, {"atlas": 7500})) == []
    assert len(list(audit._money({"atlas": 7500}, {}))) == 1
    assert len(list(audit._money({"atlas": 0}, {"atlas": 7500}))) == 1


def test_a_receipt_without_its_charge_is_found() -> None:
    told = {"atlas": Told(receipts={"r-1": 7500})}
    assert list(audit._receipts({"atlas": {"r-1": 7500, "r-2": 100}}, told)) == []
    assert len(list(audit._receipts({"atlas": {"r-1": 15000}}, told))) == 1
    assert len(list(audit._receipts({"atlas": {}}, told))) == 1


def test_a_report_holds_only_when_something_was_checked_and_nothing_speaks_against_it() -> None:
    assert not Report().holds
    assert Report([Check("a")]).holds
    assert not Report([Check("a"), Check("b", ("because",))]).holds


@pytest.mark.parametrize(
    ("name", "value"), [("DEMO_SECONDS", "0"), ("DEMO_SECONDS", "long"), ("DEMO_SITES", "4"), ("DEMO_SEED", "-1")]
)
def test_a_wrong_wish_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(RunnerError, match=name):
        Wish.of({name: value})


def test_what_is_not_wished_is_the_default() -> None:
    assert Wish.of({}) == Wish()
    assert Wish.of({"DEMO_SITES": "3"}).sites == 3


def test_the_demos_list_is_small_and_whole() -> None:
    found = small_masterlist()
    assert {match.match_number for match in found} == set(MATCHES)
    assert {pool.capacity for match in found for pool in match.pools} == {20}
