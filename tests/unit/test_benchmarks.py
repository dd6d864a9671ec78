"""The parts of the benchmarks that compute: a wrong percentile or an impossible log would make every number wrong."""

import itertools
from collections import Counter

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.figures import Spread, percentile
from benchmarks.load import Plan, requests
from benchmarks.records import sales_log
from benchmarks.report import Report, Table
from benchmarks.usage import Used, what_limits
from shared.wire import Action, decode


@given(st.lists(st.floats(0, 1000), min_size=1), st.floats(0, 1))
def test_a_percentile_is_a_value_that_was_measured(values: list[float], share: float) -> None:
    found = percentile(sorted(values), share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100), (0.0, 1)])
def test_percentiles_of_one_to_a_hundred(share: float, expected: float) -> None:
    assert percentile([float(number) for number in range(1, 101)], share) == expected


def test_nothing_measured_is_zero_and_not_an_error() -> None:
    assert percentile([], 0.99) == 0


def test_a_spread_shows_median_least_and_greatest() -> None:
    assert Spread.of([1500.0, 1100.0, 1234.0]).text() == "1,234 (1,100–1,500)"
    assert Spread.of([7.25]).text(1) == "7.2"


@pytest.mark.parametrize("with_sale_ids", [True, False])
def test_every_end_of_a_sale_comes_after_its_hold(with_sale_ids: bool) -> None:
    log = sales_log("topic", 12_000, with_sale_ids=with_sale_ids)
    held: Counter[tuple[int, int]] = Counter()
    sold = 0
    open_sales: set[str | None] = set()
    for record in log.records:
        message = decode(record.value, record.headers)
        (line,) = message.lines
        pool = (message.match_number, line.category)
        assert record.key == b"%d-%d" % pool
        held[pool] += line.quantity if message.action is Action.PENDING else -line.quantity
        sold += line.quantity if message.action is Action.RESERVED else 0
        assert held[pool] >= 0
        assert (message.sale_id is not None) == with_sale_ids
        if with_sale_ids:
            assert (message.sale_id in open_sales) == (message.action is not Action.PENDING)
            open_sales ^= {message.sale_id}
    assert len(held) == 192
    assert (held.total(), sold) == (log.held, log.sold)


def test_the_same_log_each_time() -> None:
    assert sales_log("topic", 500, with_sale_ids=True) == sales_log("topic", 500, with_sale_ids=True)


def test_every_hold_is_another_buyers() -> None:
    plan = Plan(1, 1, 1.0, "/api/reservations?wait=5", 201, pools=[(1, 1), (64, 3)], name="run")
    bodies = []
    for request in itertools.islice(requests(plan), 100):
        head, _, body = request.partition(b"\r\n\r\n")
        assert b"Content-Length: %d" % len(body) in head
        bodies.append(orjson.loads(body))
    assert len({body["email"] for body in bodies}) == 100
    assert {(body["matchNumber"], body["category"]) for body in bodies} == {(1, 1), (64, 3)}


@pytest.mark.parametrize(
    ("cpu", "expected"),
    [
        ({"kafka": 9.0, "postgres": 10.0}, "the processor: 1.90 of 2 cores are busy (postgres 1.00, kafka 0.90)"),
        ({"shop": 9.5, "others": 1.0}, "one thread: shop keeps a core busy (shop 0.95, others 0.10; 1.05 of 2"),
        ({"shop": 2.0, "others": 1.0}, "waiting (disk, round trips, clients): 0.30 of 2 cores are busy"),
    ],
)
def test_what_limits_is_read_from_the_processor(cpu: dict[str, float], expected: str) -> None:
    assert what_limits(Used(10.0, cpu, 2)).startswith(expected)


def test_a_report_is_a_page_with_its_tables_and_the_machine() -> None:
    table = Table("Rates", ("what", "a second"), [["site", "1,700"]])
    report = Report("name", "Title", ["How."], [table], findings=["Found."], limits=["Limit."])
    page = report.markdown({"cores": "2"})
    assert "| what | a second |\n| --- | ---: |\n| site | 1,700 |" in page
    assert page.startswith("# Title\n\nHow.\n")
    assert "## What limits it\n\n- Limit." in page
    assert page.endswith("## Machine\n\n- cores: 2\n")
