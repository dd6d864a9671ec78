"""The admins' pages, for pictures and for what holds for every page."""

from collections.abc import Iterator

from playwright.sync_api import expect

from tests.browser import shopping
from tests.browser.chromium import Visitor
from tests.browser.market import PASSWORD, buy, employ, offer
from tests.browser.tour import Visits
from tests.sites import RunningSite

PAGES = (
    "/admin", "/admin/figures", "/admin/refused", "/admin/evidence", "/admin/security", "/admin/payments",
    "/admin/ledger", "/admin/resale", "/admin/payouts", "/admin/people", "/admin/waiting-rooms", "/admin/actions",
    "/admin/password",
)  # fmt: skip


def admin_of(visit: Visits, site: RunningSite) -> Visitor:
    """An admin, on the overview."""
    admin = visit()
    employ(admin, site, "admin")
    admin.page.goto("/admin")
    expect(admin.page.get_by_role("heading", level=1)).to_have_text("Overview")
    return admin


def find_payment(admin: Visitor, buyer: str) -> None:
    """Opens the only payment of a buyer."""
    page = admin.page
    page.goto("/admin/payments")
    page.get_by_label("E-mail address, reservation").fill(buyer)
    page.get_by_role("button", name="Search").click()
    page.locator("tbody a").first.click()
    expect(page.get_by_role("heading", name="Give money back")).to_be_visible()


def put_up(visit: Visits, match: int) -> str:
    """Somebody offers a ticket; the address."""
    page, seller = visit().page, shopping.new_email()
    shopping.sign_up(page, seller, PASSWORD)
    buy(page, match, None)
    offer(page, "70")
    return seller


def find_listing(admin: Visitor, seller: str) -> None:
    """Opens the only listing of a seller."""
    page = admin.page
    page.goto("/admin/resale")
    page.get_by_label("Seller: e-mail address or account").fill(seller)
    page.get_by_role("button", name="Search").click()
    page.locator("tbody th a").first.click()
    expect(page.get_by_role("heading", name="End this offer")).to_be_visible()


def admin_tour(visit: Visits, site: RunningSite) -> Iterator[tuple[str, Visitor]]:
    """Walks through the admins' pages; there is something to see on most of them."""
    buyer = shopping.new_email()
    buy(visit().page, 21, buyer)
    seller = put_up(visit, 22)
    admin = admin_of(visit, site)
    for path in PAGES:
        admin.page.goto(path)
        yield path.strip("/").replace("/", "-"), admin
    find_payment(admin, buyer)
    yield "admin-payment", admin
    find_listing(admin, seller)
    yield "admin-listing", admin
