"""Two sites of ours on one broker, each with its own database: what one sells the other counts."""

import asyncio

import httpx
import psycopg

from matchday.broker_setup import prepare_topics
from matchday.masterlist import load_file, publish
from shared.settings import TopicSettings, load
from tests.eventually import eventually
from tests.sites import RunningSite, SiteMaker


def publish_small_list(site: RunningSite) -> None:
    settings = load(TopicSettings, site.environment)
    assert asyncio.run(prepare_topics(settings)), "the topic is empty"
    publish(settings, load_file("small"), "organiser")


def counters(site: RunningSite) -> list[tuple[object, ...]]:
    """What all sites must agree on."""
    with psycopg.connect(site.database_url) as connection:
        rows = connection.execute(
            "SELECT match_number, category, capacities, log_held, log_sold FROM shop.pools ORDER BY 1, 2"
        )
        return rows.fetchall()


def knows_the_matches(site: RunningSite) -> bool:
    answer = site.client("shop").get("/api/matches")
    return answer.status_code == 200 and len(answer.json()["items"]) > 0


def hold(site: RunningSite, match: int = 1) -> httpx.Response:
    order = {"matchNumber": match, "category": 1, "quantity": 2, "email": "ada@example.org"}
    return site.client("reservations").post("/api/reservations", params={"wait": 10}, json=order)


def test_a_hold_on_one_site_is_counted_by_the_other_through_kills_and_hangs(make_site: SiteMaker) -> None:
    ours = make_site("matchday")
    atlas = make_site("atlas", only=["shop", "shop-consumer"])
    publish_small_list(ours)
    ours.start(wait=False)
    atlas.start(wait=False)
    ours.wait_ready()
    atlas.wait_ready()
    for site in (ours, atlas):
        eventually(lambda site=site: knows_the_matches(site), 30)  # type: ignore[misc]

    answer = hold(ours)
    assert answer.status_code == 201, answer.text
    assert answer.json()["status"] == "held"
    eventually(lambda: counters(atlas) == counters(ours) and any(row[3] for row in counters(atlas)), 30)

    atlas.pause("shop-consumer")
    first = ours.kill("shop-consumer")
    assert hold(ours, match=2).status_code == 201
    eventually(lambda: ours.pid("shop-consumer") not in (None, first), 20)
    atlas.resume("shop-consumer")
    eventually(lambda: counters(atlas) == counters(ours) and sum(int(str(r[3])) for r in counters(ours)) == 4, 60)
    assert ours.restarts("shop-consumer") == 1

    ours.stop()
    ours.start()
    assert counters(ours) == counters(atlas)
