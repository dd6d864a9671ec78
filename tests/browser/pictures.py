"""`make screenshots`: a picture of each page, at a phone's and a desk's width, into var/screenshots.

No test by its name, so that a plain run leaves it out; it is run as one, for it needs the same site.
"""

from collections.abc import Callable

from playwright.sync_api import Browser, expect

from matchday.paths import VAR
from tests.browser import shopping
from tests.browser.chromium import DESKTOP, PHONE, Visitor
from tests.sites import RunningSite

FOLDER = VAR / "screenshots"


def photograph(visitor: Visitor, name: str) -> None:
    """The whole page at both widths."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for size, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
        visitor.page.set_viewport_size(viewport)  # type: ignore[arg-type]
        visitor.page.screenshot(path=FOLDER / f"{name}-{size}.png", full_page=True)
    visitor.page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]


def test_pictures_of_every_page(browser: Browser, site: RunningSite, visit: Callable[..., Visitor]) -> None:
    guest, member = visit(), visit()
    page = guest.page
    for name, path in (
        ("matches", "/matches"), ("search", "/matches?q=Argentina"), ("nothing-found", "/matches?q=zzzz"),
        ("match", "/matches/3"), ("sign-in", "/sign-in"), ("sign-up", "/sign-up"), ("open", "/reservations/open"),
        ("no-tickets", "/tickets"), ("verify-email", "/verify-email?token=abc"), ("not-found", "/nothing"),
        ("forgot-password", "/forgot-password"), ("reset-password", "/reset-password?token=abc"),
    ):  # fmt: skip
        page.goto(path)
        photograph(guest, name)
    shopping.hold(page, 3, shopping.new_email())
    page.locator(".countdown:not([hidden])").wait_for()
    photograph(guest, "held")
    page.get_by_role("link", name="Pay").click()
    shopping.fill_card(page, shopping.DECLINED)
    photograph(guest, "pay")
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_text("The payment did not go through").first).to_be_visible()
    photograph(guest, "pay-declined")
    shopping.fill_card(page, shopping.GOOD)
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your tickets")
    photograph(guest, "reserved")
    page.goto("/tickets")
    photograph(guest, "tickets")
    shopping.sign_up(member.page, shopping.new_email())
    photograph(member, "signed-up")
    member.page.goto("/account")
    photograph(member, "account")
    member.page.goto("/account/delete")
    photograph(member, "delete-account")
    for name, options in (
        ("arabic", {"locale": "ar"}),
        ("dark", {"color_scheme": "dark"}),
        ("french", {"locale": "fr"}),
    ):
        other = visit(**options)
        for path in ("/matches", "/matches/3", "/sign-in"):
            other.page.goto(path)
            photograph(other, f"{name}{path.replace('/', '-')}")
