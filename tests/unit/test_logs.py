"""Structured logs: one JSON object a line, and no secret in any."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from shared import tracing
from tests.logs import logging_to


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    with logging_to(stream, "shop", "info"):
        yield stream


def _read(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_tells_service_request_and_trace(lines: io.StringIO) -> None:
    with tracing.working("r-1") as work:
        structlog.get_logger().info("sold", quantity=2)
    (line,) = _read(lines)
    assert (line["event"], line["level"], line["service"], line["quantity"]) == ("sold", "info", "shop", 2)
    assert (line["requestId"], line["traceId"]) == ("r-1", work.trace.trace_id)
    assert line["timestamp"].endswith("Z")


def test_less_than_the_level_is_not_written(lines: io.StringIO) -> None:
    structlog.get_logger().debug("detail")
    assert lines.getvalue() == ""


def test_libraries_write_the_same_form(lines: io.StringIO) -> None:
    logging.getLogger("some.library").warning("careful with %s", "this")
    (line,) = _read(lines)
    assert (line["event"], line["logger"], line["service"]) == ("careful with this", "some.library", "shop")


def test_an_exception_is_one_line(lines: io.StringIO) -> None:
    try:
        raise ValueError("no")
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = _read(lines)
    assert "ValueError: no" in line["exception"]


SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "fields",
    [
        {"password": SECRET},
        {"Authorization": f"Bearer {SECRET}"},
        {"note": f"sent Bearer {SECRET} along"},
        {"address": f"postgresql://user:{SECRET}@host/db"},
        {"headers": {"Cookie": SECRET, "x": {"api_key": SECRET}}},
        {"values": [{"cardNumber": SECRET}, f"redis://:{SECRET}@host"]},
        {"key": SecretStr(SECRET)},
        {"stripe": "sk_test_" + SECRET},
        {"webhook": "whsec_" + SECRET},
    ],
)
def test_secrets_do_not_reach_a_line(lines: io.StringIO, fields: dict[str, Any]) -> None:
    structlog.get_logger().info("event", **fields)
    assert SECRET not in lines.getvalue()
    assert len(_read(lines)) == 1


def test_secrets_in_tracebacks_do_not_reach_a_line(lines: io.StringIO) -> None:
    try:
        raise ConnectionError(f"cannot reach postgresql://user:{SECRET}@host/db")
    except ConnectionError:
        structlog.get_logger().exception("failed")
    assert SECRET not in lines.getvalue()


def test_ordinary_names_are_not_hidden(lines: io.StringIO) -> None:
    structlog.get_logger().info("event", category=2, span="x", quantity=1)
    (line,) = _read(lines)
    assert (line["category"], line["span"], line["quantity"]) == (2, "x", 1)


def test_what_is_not_json_is_written_as_text(lines: io.StringIO) -> None:
    structlog.get_logger().info("event", thing=object(), error=ValueError("x"))
    assert len(_read(lines)) == 1
