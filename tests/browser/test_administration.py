"""What an admin does in a browser: money goes back, lists change, all of it is in the log; each page is accessible."""

from playwright.sync_api import Page, expect

from tests.browser import shopping
from tests.browser.administration import admin_of, admin_tour, find_listing, find_payment, put_up
from tests.browser.chromium import PHONE
from tests.browser.market import buy
from tests.browser.test_every_page import check_html, overflow, violations
from tests.browser.tour import Visits
from tests.eventually import eventually
from tests.sites import RunningSite


def test_an_admin_gives_money_back_and_changes_lists_and_all_of_it_is_in_the_log(
    visit: Visits, site: RunningSite
) -> None:
    buyer = shopping.new_email()
    buy(visit().page, 21, buyer)
    admin = admin_of(visit, site)
    find_payment(admin, buyer)
    page = admin.page
    page.get_by_label("Amount").fill("1.50")
    page.get_by_role("button", name="Give back").click()
    expect(page.get_by_text("The refund is written down")).to_be_visible()
    expect(page.locator("tbody")).to_contain_text("1.50")
    list_a_network(page)

    def logged() -> bool:
        page.goto("/admin/actions")
        return page.get_by_text("createRefund", exact=True).count() == 1

    eventually(logged, 30, "the refund is in the audit log")
    for operation in ("addEntry", "removeEntry"):
        expect(page.get_by_text(operation, exact=True)).to_be_visible()


def test_an_admin_ends_an_offer_and_buyers_see_it_no_more(visit: Visits, site: RunningSite) -> None:
    seller, guest = put_up(visit, 23), visit().page

    def offers() -> int:
        guest.goto("/resale?matchNumber=23")
        return guest.locator(".card").count()

    eventually(lambda: offers() == 1, 40, "the shop shows the offer")
    admin = admin_of(visit, site)
    find_listing(admin, seller)
    page = admin.page
    page.get_by_label("Reason").fill("reported as stolen")
    page.get_by_label("Yes, end it for good").check()
    page.get_by_role("button", name="End this offer").click()
    expect(page.get_by_text("The offer has ended")).to_be_visible()
    expect(page.get_by_text("reported as stolen")).to_be_visible()
    expect(page.get_by_role("heading", name="End this offer")).to_have_count(0)
    eventually(lambda: offers() == 0, 40, "the shop does not show it any more")


def list_a_network(page: Page) -> None:
    page.goto("/admin/security")
    page.get_by_label("Network or account").fill("198.51.100.0/24")
    page.get_by_label("Reason").fill("a test")
    page.get_by_role("button", name="Put on the list").click()
    expect(page.get_by_text("The entry is on the list")).to_be_visible()
    page.get_by_role("button", name="Take off 198.51.100.0/24").click()
    expect(page.get_by_text("The entry is off the list")).to_be_visible()


# A row's form in a box that must be scrolled sideways to see all of it.
HIDDEN_AT_THE_SIDE = """[...document.querySelectorAll(".scroll form")].some(
    form => form.getBoundingClientRect().right > form.closest(".scroll").getBoundingClientRect().right)"""


def test_the_admins_pages_are_accessible_valid_and_quiet(visit: Visits, site: RunningSite) -> None:
    found: dict[str, list[str]] = {}
    for name, admin in admin_tour(visit, site):
        problems = violations(admin)
        admin.page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        if overflow(admin):
            problems.append("wider than a phone")
        if admin.page.evaluate(HIDDEN_AT_THE_SIDE):
            problems.append("what can be done with a row is out of view on a phone")
        admin.page.set_viewport_size({"width": 1280, "height": 900})
        check_html(admin.context.request.get(admin.page.url).text())
        problems += admin.complaints
        admin.complaints.clear()
        if problems:
            found[name] = problems
    assert found == {}
