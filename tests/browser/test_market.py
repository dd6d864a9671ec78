"""Resale between two people, the gate, and the waiting room, in a real browser on a real site."""

import re

from playwright.sync_api import expect

from tests.browser import market, shopping
from tests.browser.market import Visits
from tests.browser.test_every_page import check_html, overflow, violations
from tests.eventually import eventually
from tests.sites import RunningSite


def test_a_ticket_changes_hands_and_the_gate_knows(visit: Visits, site: RunningSite) -> None:
    seller, buyer, staff = visit(), visit(), visit()
    shopping.sign_up(seller.page, shopping.new_email(), market.PASSWORD)
    market.buy(seller.page, 33, None)
    old_code = market.ticket_code(seller, site)
    market.offer(seller.page, "70")
    seller.page.get_by_label("New price").fill("72.50")
    seller.page.get_by_role("button", name="Change the price").click()
    expect(seller.page.get_by_role("status").first).to_contain_text("The price is changed.")

    def repriced() -> bool:
        market.find_offer(buyer.page, 33)
        return buyer.page.get_by_text("72.50").count() > 0

    eventually(repriced, 40)
    late = visit().page
    late.goto(buyer.page.url)
    buyer.page.get_by_label("E-mail address").fill(shopping.new_email())
    buyer.page.get_by_role("button", name="Hold this ticket").click()
    expect(buyer.page.get_by_role("heading", level=1)).to_have_text("These tickets are yours to pay for")
    late.get_by_label("E-mail address").fill(shopping.new_email())
    late.get_by_role("button", name="Hold this ticket").click()
    expect(late.get_by_text("Somebody was faster")).to_be_visible()
    seller.page.reload()
    expect(seller.page.get_by_text("Somebody is about to pay").first).to_be_visible()
    expect(seller.page.get_by_role("button", name="Withdraw it")).to_have_count(0)
    shopping.pay(buyer.page)
    shopping.wait_for_tickets(buyer.page)

    def paid_out() -> bool:
        seller.page.reload()
        return seller.page.get_by_text(re.compile("You get .*our fee")).count() > 0

    eventually(paid_out, 40)
    market.employ(staff, site, "gate")
    staff.page.goto("/gate")
    market.scan(staff.page, old_code)
    expect(staff.page.get_by_role("heading", name="Not valid any more")).to_be_visible()
    assert seller.complaints == buyer.complaints == []


def test_somebody_takes_a_ticket_off_the_market_without_scripts(visit: Visits, site: RunningSite) -> None:
    seller, helper = visit(java_script_enabled=False), visit()
    shopping.sign_up(helper.page, shopping.new_email(), market.PASSWORD)
    market.buy(helper.page, 34, None)
    seller.context.add_cookies(helper.context.cookies())  # type: ignore[arg-type]
    market.offer(seller.page, "60")
    seller.page.get_by_role("button", name="Withdraw it").click()
    expect(seller.page.get_by_role("status").first).to_contain_text("not on offer any more")
    expect(seller.page.get_by_text("Withdrawn")).to_be_visible()


def test_the_gate_admits_once_by_keyboard_and_without_scripts(visit: Visits, site: RunningSite) -> None:
    owner, staff = visit(), visit()
    shopping.sign_up(owner.page, shopping.new_email(), market.PASSWORD)
    market.buy(owner.page, 35, None)
    code = market.ticket_code(owner, site)
    owner.page.goto("/gate")
    expect(owner.page.get_by_role("heading", level=1)).to_have_text("This is not yours to open")
    market.employ(staff, site, "gate")
    page = staff.page
    page.goto("/gate")
    expect(page.get_by_label("Code of the ticket")).to_be_focused()
    market.scan(page, code, Number_of_the_match="36")
    expect(page.get_by_role("heading", name="Another match")).to_be_visible()
    market.scan(page, code, Number_of_the_match="35", Name_of_this_gate="North 1")
    expect(page.get_by_role("heading", name="Let in")).to_be_visible()
    expect(page.get_by_label("Code of the ticket")).to_be_focused()
    expect(page.get_by_label("Code of the ticket")).to_have_value("")
    plain = visit(java_script_enabled=False)
    plain.context.add_cookies(staff.context.cookies())  # type: ignore[arg-type]
    plain.page.goto("/gate")
    market.scan(plain.page, code)
    expect(plain.page.get_by_role("heading", name="Already in")).to_be_visible()
    expect(plain.page.get_by_text("gate North 1")).to_be_visible()
    market.scan(plain.page, "made.up.code")
    expect(plain.page.get_by_role("heading", name="Not a ticket")).to_be_visible()
    assert staff.complaints == []


def test_the_camera_reads_a_code_once_while_it_sees_it(visit: Visits, site: RunningSite) -> None:
    owner, staff = visit(), visit()
    shopping.sign_up(owner.page, shopping.new_email(), market.PASSWORD)
    market.buy(owner.page, 38, None)
    market.employ(staff, site, "gate")
    page = staff.page
    page.add_init_script(market.CAMERA)
    page.goto("/gate")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.method) if request.method == "POST" else None)
    page.get_by_role("button", name="Use the camera").click()
    expect(page.get_by_label("What the camera sees")).to_be_visible()
    page.evaluate("code => { window.shown = code }", market.ticket_code(owner, site))
    expect(page.get_by_role("heading", name="Let in")).to_be_visible()
    eventually(lambda: page.evaluate("window.looks") > 5, 20)
    assert asked == ["POST"]
    page.get_by_role("button", name="Stop the camera").click()
    expect(page.get_by_label("What the camera sees")).to_be_hidden()
    assert staff.complaints == []


def test_the_line_survives_a_reload_and_a_second_tab(visit: Visits, site: RunningSite) -> None:
    first, second = visit(), visit()
    market.open_room(site, 37, "on")
    try:
        market.line_up(first.page, 37)
        market.line_up(visit().page, 37)
        page = second.page
        page.goto("/matches/37")
        page.locator("[data-pool='1'] input").check()
        page.get_by_label("E-mail address").fill(shopping.new_email())
        page.get_by_role("button", name="Hold these tickets").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("You are in the line")
        number = int(page.locator("#position").inner_text())
        assert number >= 1
        page.reload()
        assert int(page.locator("#position").inner_text()) <= number
        tab = second.context.new_page()
        tab.goto("/matches/37/wait")
        assert int(tab.locator("#position").inner_text()) <= number
        plain = visit(java_script_enabled=False).page
        market.line_up(plain, 37)
        expect(plain.get_by_role("heading", level=1)).to_have_text("You are in the line")
        assert plain.locator("noscript").count() == 1
    finally:
        market.open_room(site, 37, "off")
    expect(second.page.get_by_role("link", name="Choose tickets")).to_be_visible()  # by itself
    second.page.get_by_role("link", name="Choose tickets").click()
    shopping.hold(second.page, 37, shopping.new_email())


def test_the_market_s_pages_are_accessible_valid_and_quiet(visit: Visits, site: RunningSite) -> None:
    found: dict[str, list[str]] = {}
    for name, visitor in market.market_tour(visit, site):
        problems = violations(visitor)
        for width in (320, 1280):
            visitor.page.set_viewport_size({"width": width, "height": 900})
            problems += [f"wider than {width}"] if overflow(visitor) else []
        check_html("<!doctype html>" + visitor.page.locator("html").evaluate("page => page.outerHTML"))
        problems += visitor.complaints
        visitor.complaints.clear()
        if problems:
            found[name] = problems
    assert found == {}
