"""Contract tests make thousands of requests; their ordinary log lines would bury what matters."""

import pytest

from shared import logs


@pytest.fixture(autouse=True, scope="session")
def _few_logs() -> None:
    logs.configure("contract-tests", "error")
