"""One site and one browser for all tests of the pages; gone before the next folder: Playwright keeps the event loop."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import httpx
import pytest
from playwright.sync_api import Browser

from analytics.lake.lake import Lake
from matchday.run import Run
from matchday.servers import Kafka, Postgres, Valkey
from tests.browser.chromium import Visitor, open_browser
from tests.eventually import eventually
from tests.lakes import fill_with_sales
from tests.shared_sites import Ground, common_ground
from tests.sites import RunningSite
from tests.system.test_two_sites import knows_the_matches

PROCESSES = (
    "shop", "shop-consumer", "users", "users-worker", "security", "reservations", "reservations-relay",
    "reservations-worker", "payments", "payments-worker", "analytics", "client", "mailbox", "stripe-standin",
)  # fmt: skip


@pytest.fixture(scope="package")
def ground(_postgres: Postgres, _valkey: Valkey, _kafka: Kafka, server_run: Run, _template: str) -> Iterator[Ground]:
    with common_ground(_postgres, _valkey, _kafka, server_run, _template) as made:
        yield made


@pytest.fixture(scope="package")
def site(ground: Ground) -> RunningSite:
    """A site with twenty tickets in each category, and simulated sales in its lake."""
    made = ground.make_site(
        "matchday", only=PROCESSES, WORKER_POLL_SECONDS="0.1", RATE_SCALE="1000", PASSWORD_MEMORY_KIB="8192",
        PASSWORD_ROUNDS="1", RESALE_ENDS_AT_KICK_OFF="off", RECOMMENDED_WAIT_SECONDS="10",
    )  # fmt: skip
    fill_with_sales(Lake(made.environment["LAKE_URI"]), datetime.now(UTC))
    made.start()
    eventually(lambda: knows_the_matches(made), 60)
    return made


@pytest.fixture(scope="package")
def browser(site: RunningSite) -> Iterator[Browser]:
    # After the site, and so closed before it: Playwright keeps this thread's event loop, which the topics need.
    assert site
    with open_browser() as opened:
        yield opened


@pytest.fixture
def visit(browser: Browser, site: RunningSite) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors, each with cookies of their own: `visit(java_script_enabled=False, locale="ar")`."""
    visitors: list[Visitor] = []

    def make(**options: object) -> Visitor:
        visitors.append(Visitor(browser, site.url("client"), **options))
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.close()


def mail_link(site: RunningSite, email: str, page: str) -> str:
    """The path that the last mail to somebody leads to, on one of our pages."""

    def find() -> str | None:
        answer: httpx.Response = site.client("mailbox").get("/messages", params={"to": email})
        for mail in answer.json()["items"]:
            for word in str(mail).split():
                if f"/{page}?token=" in word:
                    return f"/{page}?token=" + word.partition("?token=")[2].split("\\")[0].strip("'\",")
        return None

    return str(eventually(find, 40, f"a mail with a link to {page}"))
