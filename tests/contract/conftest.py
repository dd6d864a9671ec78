"""Contract tests make thousands of requests; their ordinary log lines would bury what matters."""

import sys
from collections.abc import Iterator

import pytest
import structlog

from shared import logs


@pytest.fixture(autouse=True, scope="package")
def _few_logs() -> Iterator[None]:
    # With a stream of its own no logger remembers this configuration, and the tests of other folders see theirs.
    logs.configure("contract-tests", "error", sys.stderr)
    yield
    structlog.reset_defaults()
