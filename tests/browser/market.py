"""What sellers, buyers from them, people at the gate and people in a line do on the pages."""

from collections.abc import Callable, Iterator

from playwright.sync_api import Page, expect

from tests.browser import shopping
from tests.browser.chromium import Visitor
from tests.browser.conftest import mail_link
from tests.eventually import eventually
from tests.sites import RunningSite

PASSWORD = "correct horse battery"
# A camera that shows nothing, and a detector that reads from it whatever the test has put there.
CAMERA = """
window.looks = 0;
window.BarcodeDetector = class {
  async detect() {
    if (!window.shown) return [];
    window.looks += 1;
    return [{ rawValue: window.shown }];
  }
};
const nothing = document.createElement("canvas");
nothing.getContext("2d").fillRect(0, 0, 10, 10);
Object.defineProperty(navigator, "mediaDevices", { value: { getUserMedia: async () => nothing.captureStream(5) } });
"""
Visits = Callable[..., Visitor]


def buy(page: Page, match: int, email: str | None, category: int = 1) -> None:
    """One ticket, paid, on the reservation's page."""
    shopping.hold(page, match, email, category, quantity=1)
    shopping.pay(page)
    shopping.wait_for_tickets(page)


def ticket_code(visitor: Visitor, site: RunningSite) -> str:
    """The code of the only ticket of who is signed in."""
    cookies = {str(each.get("name")): str(each.get("value")) for each in visitor.context.cookies()}
    headers = {"Authorization": f"Bearer {cookies['matchday_access']}"}
    (ticket,) = site.client("reservations").get("/api/tickets", headers=headers).json()["items"]
    return str(ticket["code"])


def offer(page: Page, price: str) -> None:
    """Offers the only ticket of who is signed in; it can be, as soon as the log has its sale."""

    def offered() -> bool:
        page.goto("/tickets")
        page.get_by_role("link", name="Sell it").click()
        page.get_by_label("Your price").fill(price)
        page.get_by_role("button", name="Offer it").click()
        return page.url.endswith("/resale/mine")

    eventually(offered, 40)


def find_offer(page: Page, match: int) -> None:
    """Opens the only offer of a match, as soon as the shop has heard of it."""

    def found() -> bool:
        page.goto(f"/resale?matchNumber={match}")
        return page.locator(".card").count() == 1

    eventually(found, 40)
    page.locator(".card a").click()
    expect(page.get_by_role("heading", name="The offer")).to_be_visible()


def employ(visitor: Visitor, site: RunningSite, role: str) -> None:
    """Somebody with a role, signed in."""
    page, email = visitor.page, shopping.new_email()
    shopping.sign_up(page, email, PASSWORD)
    page.goto(mail_link(site, email, "verify-email"))
    page.get_by_role("main").get_by_role("button").click()
    expect(page.get_by_text("Your e-mail address is confirmed.")).to_be_visible()
    body = {"email": email, "role": role, "granted": True}
    assert site.client("users").post("/internal/accounts/roles", json=body, headers=site.operator()).status_code == 200
    visitor.context.clear_cookies(name="matchday_access")  # the next token says the role


def scan(page: Page, code: str, **fields: str) -> None:
    """Shows a code to the scanner, by keyboard alone."""
    page.get_by_label("Code of the ticket").fill(code)
    for label, value in fields.items():
        page.get_by_label(label.replace("_", " ")).fill(value)
    page.get_by_label("Code of the ticket").press("Enter")


def open_room(site: RunningSite, match: int, mode: str, rate: float = 0.1) -> None:
    """Turns a waiting room on or off, as an operator does."""
    body = {"mode": mode, "ratePerSecond": rate, "capacity": 1}
    answer = site.client("reservations").put(f"/api/waiting-rooms/{match}", json=body, headers=site.operator())
    assert answer.status_code == 200, answer.text


def line_up(page: Page, match: int) -> None:
    """Takes a place, from the page where there is none yet."""
    page.goto(f"/matches/{match}/wait")
    page.get_by_role("button", name="Take a place in the line").click()


def market_tour(visit: Visits, site: RunningSite) -> Iterator[tuple[str, Visitor]]:
    """Every page of resale, gate and waiting room; each time it stops, one is to be seen."""
    seller, guest, staff = visit(), visit(), visit()
    page = seller.page
    shopping.sign_up(page, shopping.new_email(), PASSWORD)
    buy(page, 31, None)
    code = ticket_code(seller, site)
    page.goto("/resale/mine")
    yield "own-offers-none", seller
    page.goto("/tickets")
    page.get_by_role("link", name="Sell it").click()
    yield "sell", seller
    page.get_by_label("Your price").fill("9999")
    page.get_by_role("button", name="Offer it").click()
    expect(page.locator(".field .error, .notice.bad").first).to_be_visible()
    yield "sell-wrong", seller
    offer(page, "70,50")
    yield "own-offers", seller
    guest.page.goto("/resale?matchNumber=48")
    yield "resale-none", guest
    find_offer(guest.page, 31)
    yield "offer", guest
    guest.page.goto("/resale")
    yield "resale", guest
    employ(staff, site, "gate")
    staff.page.goto("/gate")
    yield "gate", staff
    scan(staff.page, code, Number_of_the_match="31", Name_of_this_gate="North 1")
    expect(staff.page.get_by_role("heading", name="Let in")).to_be_visible()
    yield "gate-let-in", staff
    scan(staff.page, code)
    expect(staff.page.get_by_role("heading", name="Already in")).to_be_visible()
    yield "gate-already-in", staff
    open_room(site, 32, "on")
    guest.page.goto("/matches/32/wait")
    yield "wait-before", guest
    line_up(visit().page, 32)
    line_up(guest.page, 32)
    expect(guest.page.get_by_role("heading", name="You are in the line")).to_be_visible()
    yield "wait", guest
    open_room(site, 32, "off")
    guest.page.goto("/matches/32/wait")
    yield "wait-over", guest
