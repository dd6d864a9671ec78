"""One market for each file: reservations, payments and shop on one real PostgreSQL, empty at the start of a test."""

from collections.abc import Iterator

import pytest

from matchday.servers import Postgres
from tests.market import Market, Person, open_market
from tests.resources import Databases


@pytest.fixture(scope="module")
def opened(_postgres: Postgres, _template: str) -> Iterator[Market]:
    databases = Databases(_postgres, _template)
    with open_market(databases.create()) as market:
        yield market
    databases.drop_all()


@pytest.fixture
def market(opened: Market) -> Market:
    opened.clear()
    return opened


@pytest.fixture
def ada(market: Market) -> Person:
    return market.person()


@pytest.fixture
def bob(market: Market) -> Person:
    return market.person()
