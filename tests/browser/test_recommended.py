"""What is recommended, in a real browser on a real site where analytics has no model yet."""

import re

from playwright.sync_api import expect

from tests.browser.chromium import PHONE
from tests.browser.test_every_page import check_html, overflow, violations
from tests.browser.tour import Visits


def test_a_visitor_from_mexico_finds_mexico_first_and_the_search_as_before(visit: Visits) -> None:
    visitor = visit(locale="es-MX")
    page = visitor.page
    page.goto("/matches")
    section = page.get_by_role("region", name="Recomendados para ti")
    expect(section.get_by_role("heading", level=2)).to_have_count(1)
    expect(section.get_by_role("listitem")).to_have_count(6)
    expect(section.get_by_text("La selección de tu país: México")).to_have_count(3)
    expect(section.get_by_text(re.compile("Latinoamérica"))).to_have_count(3)
    expect(section.get_by_text("inventados")).to_have_count(0)
    assert violations(visitor) == []
    check_html(visitor.context.request.get(page.url).text())
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert overflow(visitor) == 0
    page.locator("#q").press_sequentially("argent")
    expect(section).to_have_count(0)
    expect(page.locator(".card")).to_have_count(3)
    page.goto("/matches")
    first = section.get_by_role("link").first
    expect(first).to_have_accessible_name(re.compile("México"))
    path = first.get_attribute("href") or ""
    first.click()
    expect(page).to_have_url(re.compile(f"{path}$"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("México")
    assert visitor.complaints == []
