"""What holds for every page: accessible, valid, quiet, without anybody else, and as wide as its window."""

import html5lib
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.chromium import PHONE, Visitor
from tests.browser.tour import PUBLIC, Visits, tour
from tests.sites import RunningSite

AXE = Axe()
RULES = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}


def violations(visitor: Visitor) -> list[str]:
    """What axe finds, in a line each."""
    found = AXE.run(visitor.page, options=RULES).response["violations"]
    return [f"{each['id']}: {[node['html'][:120] for node in each['nodes'][:3]]}" for each in found]


def check_html(text: str) -> None:
    """Raises for what a strict reader of HTML stumbles over."""
    html5lib.HTMLParser(strict=True).parse(text)


def overflow(visitor: Visitor) -> int:
    """How many pixels of the page stand out of the window."""
    width = visitor.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return int(width)


def test_every_page_is_accessible_valid_and_quiet(visit: Visits, site: RunningSite) -> None:
    found: dict[str, list[str]] = {}
    for name, visitor in tour(visit):
        problems = violations(visitor)
        visitor.page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        if overflow(visitor):
            problems.append("wider than a phone")
        visitor.page.set_viewport_size({"width": 1280, "height": 900})
        check_html(visitor.context.request.get(visitor.page.url).text())
        problems += visitor.complaints
        visitor.complaints.clear()
        if problems:
            found[name] = problems
        assert visitor.asked <= {site.url("client"), site.url("stripe-standin")}, "nobody else is asked"
    assert found == {}


def test_every_public_page_is_valid_html(site: RunningSite) -> None:
    for language in ("en", "ar"):
        for path in PUBLIC.values():
            page = site.client("client").get(path, headers={"Accept-Language": language})
            check_html(page.text)


def test_a_page_in_arabic_runs_from_right_to_left(visit: Visits) -> None:
    visitor = visit(locale="ar")
    page = visitor.page
    page.goto("/matches/9")
    assert page.evaluate("getComputedStyle(document.body).direction") == "rtl"
    brand, places = page.locator(".brand").bounding_box(), page.locator(".places").bounding_box()
    assert brand is not None
    assert places is not None
    assert brand["x"] > places["x"]
    choice, price = page.locator(".pool input").first.bounding_box(), page.locator(".pool .price").first.bounding_box()
    assert choice is not None
    assert price is not None
    assert choice["x"] > price["x"]
    assert violations(visitor) == []
    for width in (PHONE, {"width": 1280, "height": 900}):
        page.set_viewport_size(width)  # type: ignore[arg-type]
        assert overflow(visitor) == 0
    page.get_by_role("button", name="Français").click()
    assert page.locator("html").get_attribute("lang") == "fr"
    page.goto("/sign-in")
    assert page.locator("html").get_attribute("dir") == "ltr"


def test_in_the_dark_there_is_contrast_enough(visit: Visits) -> None:
    visitor = visit(color_scheme="dark")
    for path in ("/matches", "/matches/9", "/sign-up", "/nothing"):
        visitor.page.goto(path)
        assert violations(visitor) == []


def test_nothing_moves_while_a_page_loads(visit: Visits) -> None:
    visitor = visit()
    watch = """() => new Promise((done) => {
      let shift = 0;
      new PerformanceObserver((list) => { for (const entry of list.getEntries()) shift += entry.value; })
        .observe({ type: "layout-shift", buffered: true });
      requestAnimationFrame(() => setTimeout(() => done(shift), 300));
    })"""
    for path in ("/matches", "/matches/9"):
        visitor.page.goto(path)
        expect(visitor.page.locator("html")).to_have_attribute("data-followed", "yes")
        assert visitor.page.evaluate(watch) < 0.01


def test_a_page_says_when_its_numbers_may_be_old_and_comes_back_by_itself(visit: Visits) -> None:
    page = visit().page
    streams = "**/api/availability/stream*"
    page.route(streams, lambda route: route.fulfill(status=503, content_type="application/problem+json", body="{}"))
    for path in ("/matches", "/matches/9"):
        page.goto(path)
        expect(page.locator("#lost")).to_be_visible()
    page.unroute(streams)
    expect(page.locator("html")).to_have_attribute("data-followed", "yes", timeout=60_000)
    expect(page.locator("#lost")).to_be_hidden()
