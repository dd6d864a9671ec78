"""What the shop tells, with a match, of tickets that others sell again: on real PostgreSQL, by the events of resale."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from matchday.servers import Postgres
from shop.listings.store import count_open, counting_open
from tests.eventually import eventually
from tests.market import Market, open_market
from tests.resources import Databases

NOTHING = {"open": 0, "lowestPrice": None}
PATHS = ("/api/matches/1", "/api/matches", "/api/matches/2", "/api/matches/1/availability")


@pytest.fixture
def market(_postgres: Postgres, _template: str) -> Iterator[Market]:
    databases = Databases(_postgres, _template)
    with open_market(databases.create()) as opened:
        yield opened
    databases.drop_all()


def offered(market: Market, number: int = 1) -> Any:
    """The same from the match and from the list of matches."""
    client = market.shop.test_client()
    alone = client.get(f"/api/matches/{number}").get_json()
    (listed,) = [each for each in client.get("/api/matches").get_json()["items"] if each["matchNumber"] == number]
    return alone["resale"] if alone == listed else None


def is_told(market: Market, **expected: Any) -> None:
    eventually(lambda: offered(market) == expected, 10, f"the shop tells {expected}")


def tags(market: Market) -> list[str]:
    client = market.shop.test_client()
    return [client.get(path).headers["ETag"] for path in PATHS]


def test_a_match_tells_how_many_tickets_others_sell_and_from_which_price(market: Market) -> None:
    ada, bob = market.person(), market.person()
    dear, cheap, _ = (*market.ticket(ada, 2), *market.ticket(bob, 1))
    market.settle()
    is_told(market, **NOTHING)
    market.offer(ada, dear, 82.5)
    listing = market.offer(ada, cheap, 60)
    market.settle()
    is_told(market, open=2, lowestPrice=60)
    assert offered(market, 2) == NOTHING

    held = market.hold(bob, listing["id"]).get_json()
    market.settle()
    is_told(market, open=1, lowestPrice=82.5)
    market.call(bob, "DELETE", f"/api/reservations/{held['id']}")
    market.settle()
    is_told(market, open=2, lowestPrice=60)
    market.reprice(ada, listing["id"], 55.25)
    market.settle()
    is_told(market, open=2, lowestPrice=55.25)
    market.withdraw(ada, listing["id"])
    market.settle()
    is_told(market, open=1, lowestPrice=82.5)


def test_an_offer_changes_the_tags_of_the_answers_that_tell_of_it_and_no_others(market: Market) -> None:
    ada = market.person()
    (ticket,) = market.ticket(ada)
    is_told(market, **NOTHING)
    seen = [tags(market)]
    listing = market.offer(ada, ticket, 70)
    market.settle()
    is_told(market, open=1, lowestPrice=70)
    seen.append(tags(market))
    market.reprice(ada, listing["id"], 71)
    market.settle()
    is_told(market, open=1, lowestPrice=71)
    seen.append(tags(market))
    match, matches, another, availability = (set(column) for column in zip(*seen, strict=True))
    assert [len(match), len(matches), len(another), len(availability)] == [3, 3, 1, 1]
    stale = market.shop.test_client().get("/api/matches/1", headers={"If-None-Match": seen[0][0]})
    assert stale.status_code == 200


def test_who_follows_the_numbers_is_not_told_of_offers(market: Market) -> None:
    ada = market.person()
    (ticket,) = market.ticket(ada)
    is_told(market, **NOTHING)
    pieces = market.shop.test_client().get("/api/availability/stream?matchNumber=1").iter_encoded()
    assert next(pieces).startswith(b"retry: ")
    assert b'"matchNumber":1' in next(pieces)
    market.offer(ada, ticket, 70)
    market.settle()
    is_told(market, open=1, lowestPrice=70)
    market.ticket(market.person(), 2)
    event = next(piece for piece in pieces if b"data:" in piece)
    assert b'"pending":17' in event


def test_what_is_offered_is_counted_from_an_index_alone(market: Market) -> None:
    """Each snapshot of the shop counts anew: with a visit of the table for each listing it would cost ever more."""
    market.reservations.sql.execute("""
        INSERT INTO shop.listings (id, version, state, match_number, category, amount, face_amount, currency, by_site,
                                   listed_at, changed_at)
        SELECT gen_random_uuid(), 1, CASE WHEN n % 4 = 0 THEN 'open' ELSE 'sold' END, n % 64, 1, 5000 + n, 7500, 'USD',
               false, now(), now() FROM generate_series(1, 20000) n
    """)
    market.reservations.sql.execute("VACUUM ANALYZE shop.listings")
    with market.payments_site.database.transaction() as connection:
        query = counting_open().compile(connection)
        told = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", query.params).scalar_one()
        assert sum(each.open for each in count_open(connection).values()) == 5000
    whole = (json.loads(told) if isinstance(told, str) else told)[0]["Plan"]
    reads = [node for node in nodes(whole) if node.get("Alias") == "listings"]
    assert [(node["Node Type"], node["Heap Fetches"]) for node in reads] == [("Index Only Scan", 0)]


def nodes(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield part
    for child in part.get("Plans", []):
        yield from nodes(child)
