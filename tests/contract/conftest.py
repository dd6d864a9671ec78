"""Contract tests make thousands of requests; their ordinary log lines would bury what matters."""

import sys
from collections.abc import Iterator

import pytest

from tests.logs import logging_to


@pytest.fixture(autouse=True, scope="package")
def _few_logs() -> Iterator[None]:
    with logging_to(sys.stderr, "contract-tests", "error"):
        yield
