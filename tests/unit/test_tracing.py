"""Request ids and trace contexts."""

import re

import pytest

from shared import tracing

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_given_trace_goes_on_with_a_new_span() -> None:
    with tracing.working("r-1", PARENT) as work:
        assert work.trace.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
        assert work.trace.span_id != "00f067aa0ba902b7"
        assert tracing.traceparent() == f"00-{work.trace.trace_id}-{work.trace.span_id}-01"
        assert tracing.request_id() == "r-1"


def test_nothing_is_left_after_the_work() -> None:
    with tracing.working():
        assert tracing.current() is not None
    assert tracing.current() is None
    assert tracing.traceparent() is None
    assert tracing.request_id() is None


def test_work_inside_work_gives_back_the_outer_one() -> None:
    with tracing.working("outer"):
        with tracing.working("inner"):
            assert tracing.request_id() == "inner"
        assert tracing.request_id() == "outer"


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "",
        "nonsense",
        PARENT.upper(),
        PARENT + "-more",
        "ff" + PARENT[2:],
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
    ],
)
def test_a_wrong_trace_begins_a_new_one(wrong: str | None) -> None:
    assert tracing.parse_traceparent(wrong) is None
    with tracing.working(None, wrong) as work:
        assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", work.trace.traceparent)


def test_a_later_version_may_go_on_after_the_flags() -> None:
    assert tracing.parse_traceparent("01" + PARENT[2:] + "-more") is not None


@pytest.mark.parametrize("unsafe", ["", "a b", "x\r\nSet-Cookie: y", "é", "a" * 129, '"', "{}"])
def test_an_unsafe_request_id_is_replaced(unsafe: str) -> None:
    with tracing.working(unsafe) as work:
        assert re.fullmatch(r"[0-9a-f]{32}", work.request_id)
