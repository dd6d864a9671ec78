"""Buyers in a real browser, on a real site: with scripts, without, by keyboard, and beside a partner who sells."""

import re

import httpx
from playwright.sync_api import expect

from tests.browser import partner, shopping
from tests.browser.conftest import mail_link
from tests.browser.tour import Visits
from tests.eventually import eventually
from tests.shared_sites import Ground
from tests.sites import RunningSite
from tests.tickets import page_texts, scan_pages

PENDING, RESERVED = "TICKET_PENDING", "TICKET_RESERVED"


def test_from_the_list_to_the_printed_ticket(visit: Visits, site: RunningSite) -> None:
    visitor = visit()
    page = visitor.page
    page.goto("/")
    page.get_by_label("Team, stadium or city").press_sequentially("argent")
    expect(page.locator(".card")).to_have_count(3)
    assert page.url.endswith("/matches?q=argent")
    page.get_by_role("link", name=re.compile("Argentina.*Mexico")).click()
    email = shopping.new_email()
    shopping.hold(page, 24, email, category=2)
    expect(page.get_by_role("timer")).to_have_text(re.compile(r"0?9:\d\d|10:00"))
    shopping.pay(page, shopping.DECLINED)
    expect(page.get_by_text("The payment did not go through")).to_be_visible()
    shopping.fill_card(page, shopping.GOOD)
    page.get_by_role("button", name="Pay").click()
    shopping.wait_for_tickets(page)
    links = page.get_by_role("link", name="Print it (PDF)")
    expect(links).to_have_count(2)
    pdf = visitor.context.request.get(links.first.get_attribute("href") or "").body()
    assert "Argentina" in page_texts(pdf)[0]
    (code,) = scan_pages(pdf)[0]
    gate = site.client("reservations").post("/api/tickets/verify", json={"code": code}, headers=site.operator())
    assert gate.status_code == 200
    page.reload()
    expect(page.get_by_text("Somebody has gone in with this ticket.")).to_be_visible()
    calendar = visitor.context.request.get("/matches/24/calendar.ics")
    assert "DTSTART:20221126T190000Z" in calendar.text()
    assert visitor.complaints == []
    stranger = visit()
    stranger.page.goto(page.url)
    expect(stranger.page).to_have_url(re.compile("/sign-in"))


def test_the_same_without_scripts_and_with_a_bank_that_asks(visit: Visits) -> None:
    page = visit(java_script_enabled=False).page
    page.goto("/matches")
    page.get_by_label("Team, stadium or city").fill("Brazil")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".card")).to_have_count(3)
    page.get_by_role("link", name=re.compile("Brazil.*Serbia")).click()
    shopping.hold(page, 16, shopping.new_email())
    expect(page.get_by_text("then the tickets go back")).to_be_visible()
    page.get_by_role("link", name="Pay").click()
    page.get_by_role("link", name="To the payment page").click()
    shopping.fill_card(page, shopping.DECLINED)
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_role("alert")).to_contain_text("declined")
    shopping.fill_card(page, shopping.ASKS)
    page.get_by_role("button", name="Pay").click()
    page.get_by_role("button", name="Complete authentication").click()
    shopping.wait_for_tickets(page)


def test_by_keyboard_alone(visit: Visits) -> None:
    page = visit().page
    page.goto("/matches/25")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")

    def tab_to(selector: str) -> None:
        for _ in range(30):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none", f"{selector} shows that it has the focus"
                return
        raise AssertionError(f"{selector} cannot be reached")

    tab_to("input[name=category]")
    page.keyboard.press("ArrowDown")
    expect(page.locator("input[name=category][value='2']")).to_be_checked()
    tab_to("input[name=email]")
    page.keyboard.type(shopping.new_email())
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("These tickets are yours to pay for")
    tab_to("main a.button")
    page.keyboard.press("Enter")
    page.get_by_label("Card number").wait_for()
    for text in (shopping.GOOD, "12 / 40", "123"):
        tab_to("#card input")
        page.keyboard.type(text)
    page.keyboard.press("Enter")
    shopping.wait_for_tickets(page)


def test_numbers_move_while_a_partner_sells_until_nothing_is_left(
    visit: Visits, site: RunningSite, ground: Ground
) -> None:
    watcher, reader = visit().page, visit().page
    watcher.goto("/matches/30")
    reader.goto("/matches?q=30")
    pool = watcher.locator("[data-pool='1']")
    expect(pool.locator(".number")).to_have_text("20")

    def sell(action: str, tickets: int, category: int = 1) -> None:
        partner.send(ground.kafka.bootstrap_servers, ground.topics.sales, action, 30, category, tickets)

    sell(PENDING, 4)
    expect(pool.locator(".number")).to_have_text("16")
    expect(watcher.locator("#announce")).to_have_text("Category 1: 16 left")
    sell(PENDING, 16)
    expect(pool.locator(".status")).to_have_text("Ticket is temporarily unavailable")
    sell(RESERVED, 20)
    expect(pool.locator(".status")).to_have_text("Ticket is sold out")
    for category in (2, 3):
        sell(PENDING, 20, category)
        sell(RESERVED, 20, category)
    expect(watcher.locator(".status.sold_out")).to_have_count(3)
    # Who was about to buy is told in the form; so is who comes to an old page.
    pool.locator("input").check()
    watcher.get_by_label("E-mail address").fill(shopping.new_email())
    watcher.get_by_role("button", name="Hold these tickets").click()
    expect(watcher.get_by_role("alert")).to_contain_text("Ticket is sold out")
    fresh = httpx.get(site.url("client") + "/matches/30").text
    assert fresh.count("Ticket is sold out</span>") == 3


def test_an_account_from_signing_up_to_a_new_password(visit: Visits, site: RunningSite) -> None:
    visitor = visit()
    page, email = visitor.page, shopping.new_email()
    shopping.sign_up(page, email)
    page.goto(mail_link(site, email, "verify-email"))
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text("This address is confirmed.")).to_be_visible()
    # An access token lives ten minutes; without it two pages that are opened at once renew the session together.
    visitor.context.clear_cookies(name="matchday_access")
    page.evaluate("Promise.all(['/account', '/account', '/tickets'].map((path) => fetch(path)))")
    page.goto("/account")
    expect(page.get_by_text("This address is confirmed.")).to_be_visible()
    page.get_by_label("Country").select_option("AR")
    page.get_by_label("Language").select_option("es")
    page.get_by_role("button", name="Save").click()
    assert page.locator("html").get_attribute("lang") == "es"
    export = visitor.context.request.get("/account/export").json()
    assert export["account"]["user"]["country"] == "AR"
    visitor.context.clear_cookies()
    page.goto("/forgot-password")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_role("button", name="Send the mail").click()
    page.goto(mail_link(site, email, "reset-password"))
    page.get_by_label("New password").fill("another battery staple")
    page.get_by_role("button", name="Save").click()
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill("another battery staple")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("html")).to_have_attribute("lang", "es")
    page.goto("/account")
    page.locator("form[action='/sign-out'] button").click()
    page.goto("/account")
    expect(page).to_have_url(re.compile("/sign-in"))


def test_the_card_is_asked_for_in_the_buyer_s_language_and_month_comes_before_year(visit: Visits) -> None:
    reader = visit(locale="ar")
    page = reader.page
    page.goto("/matches/11")
    page.locator("[data-pool='1'] input").check()
    page.locator("input[name=email]").fill(shopping.new_email())
    page.locator("form[action$='/hold'] button").click()
    page.locator("a[href$='/pay']").click()
    for label, value in (("رقم البطاقة", shopping.DECLINED), ("تاريخ الانتهاء", "12 / 40"), ("رمز الأمان", "123")):
        page.get_by_label(label).fill(value)
    expect(page.get_by_label("تاريخ الانتهاء")).to_have_css("direction", "ltr")
    page.locator("#payment button").click()
    expect(page.get_by_role("alert").filter(has_text="رُفضت بطاقتك")).to_be_visible()
    assert reader.complaints == []


def test_a_guest_opens_a_reservation_in_another_browser_by_its_code(visit: Visits) -> None:
    first, other = visit().page, visit().page
    shopping.hold(first, 26, shopping.new_email())
    first.get_by_text("Open it in another browser").click()
    code = first.locator("details code").inner_text()
    other.goto("/reservations/open")
    other.get_by_label("Code of the reservation").fill(code[:-2])
    other.get_by_role("button", name="Open").click()
    expect(other.get_by_text("There is no reservation with this code")).to_be_visible()
    other.get_by_label("Code of the reservation").fill(code)
    other.get_by_role("button", name="Open").click()
    expect(other.get_by_role("heading", level=1)).to_have_text("These tickets are yours to pay for")


def test_a_challenged_buyer_works_a_moment_and_goes_on(visit: Visits, site: RunningSite) -> None:
    page, lists = visit().page, "/internal/security/lists"
    page.goto("/matches/27")
    entry = {"kind": "challenge", "network": "127.0.0.1", "reason": "a test"}
    made = site.client("security").post(lists, json=entry, headers=site.operator())
    assert made.status_code == 201, made.text
    try:
        eventually(lambda: site.client("shop").get("/api/matches").status_code == 403, what="everybody is challenged")
        page.locator("[data-pool='1'] input").check()
        page.get_by_label("E-mail address").fill(shopping.new_email())
        page.get_by_role("button", name="Hold these tickets").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("These tickets are yours to pay for", timeout=60_000)
    finally:
        site.client("security").delete(f"{lists}/{made.json()['id']}", headers=site.operator())
        eventually(lambda: site.client("shop").get("/api/matches").status_code == 200, what="nobody is challenged")
