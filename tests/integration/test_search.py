"""The search on a real PostgreSQL, with the 64 matches of 2022: what people type, and that it costs little."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from matchday.servers import Postgres
from shared.database import Database
from shared.errors import Overloaded
from shared.http import HttpApp
from shared.settings import load
from shop.app import create_app
from shop.domain import Match
from shop.handlers import read_shelf
from shop.search import handlers, store
from shop.search.domain import Kind, Name, Spelled, pieces_of
from shop.search.handlers import Finder
from shop.settings import ShopSettings
from tests.contract.door import NOWHERE, fill
from tests.eventually import eventually
from tests.no_redis import NO_REDIS
from tests.resources import Databases

TOKEN = "a-service-token-of-tests"


def _settings(database_url: str) -> ShopSettings:
    given = {"PORT": "3000", "DATABASE_URL": database_url, "KAFKA_BOOTSTRAP_SERVERS": NOWHERE, "SERVICE_TOKEN": TOKEN}
    more = {"ANALYTICS_SECRET": "a-secret-of-analytics", "SNAPSHOT_SECONDS": "0.05"}
    return load(ShopSettings, {**given, **more, **NO_REDIS})


@pytest.fixture(scope="module")
def opened(_postgres: Postgres, _template: str) -> Iterator[HttpApp]:
    databases = Databases(_postgres, _template)
    url = databases.create()
    fill(url)
    app = create_app(_settings(url))
    yield app
    app.stop()
    app.end()
    databases.drop_all()


@pytest.fixture
def shop(opened: HttpApp, postgres: Postgres) -> HttpApp:
    return opened


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    fill(database_url)
    database = Database(_settings(database_url), "test")
    yield database
    database.close()


def _search(shop: HttpApp, q: str, **more: str) -> list[dict[str, Any]]:
    answer = shop.test_client().get("/api/matches", query_string={"q": q, **more})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.get_json()["items"]
    return items


def _teams(match: dict[str, Any]) -> set[str]:
    return {match["homeTeam"], match["awayTeam"]}


@pytest.mark.parametrize(
    ("q", "team"),
    [
        # as it is written, in part, and while it is typed
        ("argentina", "Argentina"), ("ARGENTINA", "Argentina"), ("arge", "Argentina"), ("saudi", "Saudi Arabia"),
        ("costa rica", "Costa Rica"), ("republic", "Korea Republic"),
        # letters swapped, wrong, missing, too many; words run together
        ("argetnina", "Argentina"), ("qatra", "Qatar"), ("katar", "Qatar"), ("brzil", "Brazil"), ("morroco", "Morocco"),
        ("switserland", "Switzerland"), ("swizterland", "Switzerland"), ("uruguy", "Uruguay"), ("equador", "Ecuador"),
        ("cameron", "Cameroon"), ("germnay", "Germany"), ("holand", "Netherlands"), ("saudiarabia", "Saudi Arabia"),
        ("costarica", "Costa Rica"), ("irna", "Iran"), ("cnaada", "Canada"), ("portuagl", "Portugal"),
        # accents, codes, other names in use
        ("México", "Mexico"), ("méxico!", "Mexico"), ("USA", "USA"), ("United States", "USA"), ("america", "USA"),
        ("KSA", "Saudi Arabia"), ("korea", "Korea Republic"), ("south korea", "Korea Republic"),
        ("IR Iran", "Iran"), ("holland", "Netherlands"), ("CRC", "Costa Rica"), ("SUI", "Switzerland"),
        # Spanish, French, Arabic, with the letters that are often left out or confused
        ("Países Bajos", "Netherlands"), ("paises bajos", "Netherlands"), ("alemania", "Germany"), ("España", "Spain"),
        ("espana", "Spain"), ("Corée du Sud", "Korea Republic"), ("États-Unis", "USA"), ("etats unis", "USA"),
        ("EE.UU.", "USA"), ("pays de galles", "Wales"), ("arabia saudita", "Saudi Arabia"), ("marruecos", "Morocco"),
        ("الأرجنتين", "Argentina"), ("الارجنتين", "Argentina"), ("ارجنتين", "Argentina"), ("الارجنتن", "Argentina"),
        ("السعوديه", "Saudi Arabia"), ("إيران", "Iran"), ("ايران", "Iran"), ("قطر", "Qatar"),
        ("كوريا", "Korea Republic"),
    ],
)  # fmt: skip
def test_a_team_is_found_as_people_type_it(shop: HttpApp, q: str, team: str) -> None:
    found = _search(shop, q)
    assert found, "nothing"
    assert team in _teams(found[0])
    assert sum(team in _teams(match) for match in found) == 3, "all of its matches"


@pytest.mark.parametrize(
    ("q", "member", "value", "count"),
    [
        ("lusail", "location", "Lusail Stadium", 10),
        ("lusial stadium", "location", "Lusail Stadium", 10),
        ("974", "location", "Stadium 974", 7),
        ("al bayt", "location", "Al Bayt Stadium", 9),
        ("albayt", "location", "Al Bayt Stadium", 9),
        ("thumana", "location", "Al Thumama Stadium", 8),
        ("doha", "city", "Doha", 15),
        ("dhoa", "city", "Doha", 15),
        ("الدوحة", "city", "Doha", 15),
        ("group a", "group", "A", 6),
        ("grupo H", "group", "H", 6),
        ("round of 16", "stage", "Round of 16", 8),
        ("octavos de final", "stage", "Round of 16", 8),
        ("semi final", "stage", "Semi-finals", 2),
        ("third place", "stage", "Third place", 1),
        ("quater finals", "stage", "Quarter-finals", 4),
    ],
)
def test_a_place_a_group_or_a_stage_is_found(shop: HttpApp, q: str, member: str, value: str, count: int) -> None:
    found = _search(shop, q)
    assert [match[member] for match in found[:count]] == [value] * count
    assert sum(match[member] == value for match in found) == count


def test_what_is_called_final_comes_before_what_is_nearly(shop: HttpApp) -> None:
    assert _search(shop, "final")[0]["matchNumber"] == 64


@pytest.mark.parametrize(
    ("q", "more", "numbers"),
    [
        ("argentina lusail", {}, [8, 24]),
        ("lusail argentina", {}, [8, 24]),
        ("argentina mexico", {}, [24]),
        ("mexcio argentnia", {}, [24]),
        ("usa england", {}, [20]),
        ("argentina", {"stadium": "Lusail Stadium"}, [8, 24]),
        ("argentina", {"sort": "-matchNumber"}, [39, 24, 8]),
        ("argentina", {"dateFrom": "2022-11-30"}, [39]),
        ("argentina nobodyatall", {}, []),
        ("xyzzyx", {}, []),
        ("!!!", {}, []),
        ("%", {}, []),
    ],
)
def test_words_and_filters_go_together(shop: HttpApp, q: str, more: dict[str, str], numbers: list[int]) -> None:
    found = [match["matchNumber"] for match in _search(shop, q, **more)]
    assert (sorted(found) if "sort" not in more else found) == numbers


def test_pages_of_a_search_hold_each_match_once_and_the_best_first(shop: HttpApp) -> None:
    whole = [match["matchNumber"] for match in _search(shop, "final")]
    gathered: list[int] = []
    cursor: dict[str, str] = {}
    for _ in whole:
        query = {"q": "final", "limit": "3", **cursor}
        page = shop.test_client().get("/api/matches", query_string=query).get_json()
        gathered += [match["matchNumber"] for match in page["items"]]
        if page["nextCursor"] is None:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert gathered == whole


def test_a_search_has_an_entity_tag_like_every_list(shop: HttpApp) -> None:
    for path in ("/api/matches?q=argentina", "/api/search/suggestions?q=arg"):
        first = shop.test_client().get(path)
        again = shop.test_client().get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize(
    ("q", "first"),
    [
        ("arg", ("team", "Argentina", 3)),
        ("lus", ("stadium", "Lusail Stadium", 10)),
        ("doh", ("city", "Doha", 15)),
        ("group b", ("group", "B", 6)),
        ("quar", ("stage", "Quarter-finals", 4)),
        ("mexcio", ("team", "Mexico", 3)),
    ],
)
def test_names_are_offered_to_who_is_typing(shop: HttpApp, q: str, first: tuple[str, str, int]) -> None:
    items = shop.test_client().get("/api/search/suggestions", query_string={"q": q}).get_json()["items"]
    assert (items[0]["kind"], items[0]["text"], items[0]["matches"]) == first
    # What is offered leads there.
    found = shop.test_client().get("/api/matches", query_string={items[0]["kind"]: items[0]["text"]}).get_json()
    assert len(found["items"]) == first[2]
    assert any(item["kind"] == "match" and item["matchNumber"] for item in items)
    assert len(items) <= 8


def test_two_names_together_offer_their_matches(shop: HttpApp) -> None:
    items = shop.test_client().get("/api/search/suggestions?q=argentina mex").get_json()["items"]
    assert [(item["kind"], item["text"], item["matchNumber"]) for item in items] == [
        ("match", "Argentina – Mexico", 24)
    ]


@pytest.mark.parametrize(
    ("query", "parameter"), [("", "q"), ("q=", "q"), (f"q={'a' * 101}", "q"), ("q=a&limit=21", "limit")]
)
def test_a_wrong_query_is_named(shop: HttpApp, query: str, parameter: str) -> None:
    problem = shop.test_client().get(f"/api/search/suggestions?{query}").get_json()
    assert (problem["status"], problem["errors"][0]["parameter"]) == (422, parameter)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=100))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_typed_has_an_answer(shop: HttpApp, q: str) -> None:
    for path in ("/api/matches", "/api/search/suggestions"):
        answer = shop.test_client().get(path, query_string={"q": q})
        assert answer.status_code == 200, answer.text
        assert len(answer.get_json()["items"]) <= 64


letters = st.text("abcdefghijklmnopqrstuvwxyz", min_size=5, max_size=5)


@given(st.data())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_one_slip_within_a_long_name_is_forgiven(shop: HttpApp, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["argentina", "netherlands", "switzerland", "australia", "portugal", "cameroon"]))
    at = data.draw(st.integers(1, len(name) - 2))
    letter = data.draw(st.sampled_from("aeioubcdrstz"))
    slips = {
        "missing": name[:at] + name[at + 1 :],
        "too many": name[:at] + letter + name[at:],
        "wrong": name[:at] + letter + name[at + 1 :],
        "swapped": name[:at] + name[at + 1] + name[at] + name[at + 2 :],
    }
    typed = slips[data.draw(st.sampled_from(sorted(slips)))]
    assert any(name.title() in _teams(match) for match in _search(shop, typed)), typed


# -- what it costs ---------------------------------------------------------------------------------------------------


def _shelf(database: Database) -> tuple[Match, ...]:
    return read_shelf(database, _settings(database.settings.database_url).federation()).matches


def test_the_same_question_is_asked_of_the_database_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    find = store.find
    monkeypatch.setattr(store, "find", lambda *given: asked.append(1) or find(*given))  # type: ignore[func-returns-value]
    now = [0.0]
    finder, shelf = Finder(database, lambda: now[0]), _shelf(database)
    first = finder.units(shelf, "Argentina")
    assert finder.units(shelf, " argentina! ") == first
    # Another look at the same catalogue, with other numbers.
    assert finder.units(tuple(match._replace(pools=()) for match in shelf), "argentina") == first
    assert len(asked) == 1
    now[0] = handlers.KEPT_SECONDS
    finder.units(shelf, "argentina")
    assert len(asked) == 2


def test_names_follow_the_catalogue(database: Database) -> None:
    finder, shelf = Finder(database), _shelf(database)
    assert finder.units(shelf, "curaçao") == [{}]
    changed = (shelf[0]._replace(home_team="Curaçao"), *shelf[1:])
    assert finder.units(changed, "curaçao") == [{Name(Kind.TEAM, "Curaçao"): 1.0}]
    assert finder.units(shelf, "curaçao") == [{}]
    assert finder.units((), "argentina") == [{}]


def test_who_asks_while_too_many_search_is_told_so_and_what_is_known_is_still_answered(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "WAIT_SECONDS_MAX", 0.05)
    finder, shelf = Finder(database), _shelf(database)
    known = finder.units(shelf, "argentina")
    gate, inside, find = threading.Event(), threading.Semaphore(0), store.find

    def slow(*given: Any) -> Any:
        inside.release()
        assert gate.wait(30)
        return find(*given)

    monkeypatch.setattr(store, "find", slow)
    with ThreadPoolExecutor(handlers.AT_ONCE) as pool:
        busy = [pool.submit(finder.units, shelf, f"team{number}") for number in range(handlers.AT_ONCE)]
        for _ in busy:
            assert inside.acquire(timeout=30)
        with pytest.raises(Overloaded):
            finder.units(shelf, "mexico")
        assert finder.units(shelf, "argentina") == known
        gate.set()
        assert all(done.result(30) == [{}] for done in busy)


def test_what_is_kept_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "KEPT_MAX", 3)
    finder, shelf = Finder(database), _shelf(database)
    for number in range(10):
        finder.units(shelf, f"nobody{number}")
    assert len(finder._kept) <= 3


def test_a_search_ends_by_itself_and_the_next_one_does_not_suffer(database: Database) -> None:
    with database.transaction() as connection:
        store.bound(connection)
        longest = connection.execute(text("SHOW statement_timeout")).scalar_one()
    assert longest == f"{store.SEARCH_MS_MAX}ms"
    with database.transaction() as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar_one() != longest


def test_the_index_serves_the_search(database: Database) -> None:
    many = {Spelled(Name(Kind.TEAM, f"Team {number}"), f"team{number:05d} of somewhere") for number in range(20_000)}
    with database.transaction() as connection:
        store.write_names(connection, many)
    with database.transaction() as connection:
        connection.execute(text("ANALYZE shop.search_names"))
    with database.transaction() as connection:
        store.bound(connection)
        pieces = pieces_of(("team00042",))
        plan = connection.execute(
            text("EXPLAIN " + store._FIND),
            {
                "numbers": [0] * len(pieces),
                "pieces": [piece.text for piece in pieces],
                "hows": [piece.how.value for piece in pieces],
            },
        )
        assert "search_names_trigrams" in "\n".join(row[0] for row in plan)
        best = max(store.find(connection, pieces), key=lambda hit: hit.score)
        assert best.name == Name(Kind.TEAM, "Team 42")


def test_in_an_outage_a_new_search_is_refused_and_works_again_afterwards(database_url: str, postgres: Postgres) -> None:
    fill(database_url)
    app = create_app(_settings(database_url))
    client = app.test_client()
    assert client.get("/api/matches?q=argentina").status_code == 200
    postgres.kill()
    try:
        eventually(lambda: client.get("/api/matches?q=mexico").status_code == 503, 10)
        assert client.get("/api/search/suggestions?q=me").get_json()["code"] == "dependency_unavailable"
    finally:
        postgres.start()
    eventually(lambda: client.get("/api/matches?q=mexico").status_code == 200, 20)
    app.stop()
    app.end()


def test_a_database_that_lacks_the_names_gets_them_at_the_first_search(database: Database) -> None:
    with psycopg.connect(database.settings.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM shop.search_names").fetchone() == (0,)
        Finder(database).units(_shelf(database), "x")
        (count,) = connection.execute("SELECT count(*) FROM shop.search_names").fetchone() or (0,)
    assert count > 200
