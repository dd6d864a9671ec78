"""What buyers do on the pages, step by step, for tests and pictures."""

import secrets

from playwright.sync_api import Page, expect

GOOD, DECLINED, ASKS = "4242424242424242", "4000000000000002", "4000002760003184"


def new_email() -> str:
    return f"{secrets.token_hex(6)}@example.org"


def hold(page: Page, match: int, email: str | None, category: int = 1, quantity: int = 2) -> str:
    """Holds tickets, from the match's page; returns the reservation's path."""
    page.goto(f"/matches/{match}")
    page.locator(f"[data-pool='{category}'] input").check()
    page.locator(f"input[name=quantity][value='{quantity}']").check()
    if email is not None:
        page.get_by_label("E-mail address").fill(email)
    page.get_by_role("button", name="Hold these tickets").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("These tickets are yours to pay for")
    return page.url.partition("/reservations/")[2]


def pay(page: Page, card: str = GOOD) -> None:
    """Pays with the element, from the reservation's page."""
    page.get_by_role("link", name="Pay").click()
    fill_card(page, card)
    page.get_by_role("button", name="Pay").click()


def fill_card(page: Page, card: str) -> None:
    page.get_by_label("Card number").fill(card)
    page.get_by_label("Expiry").fill("12 / 40")
    page.get_by_label("Security code").fill("123")


def wait_for_tickets(page: Page) -> None:
    """The payment is heard of, the tickets are issued, and their codes are drawn."""
    expect(page.get_by_role("heading", level=1)).to_have_text("Your tickets")
    wait_for_codes(page)


def wait_for_codes(page: Page) -> None:
    codes = page.get_by_role("img", name="QR code")
    expect(codes.first).to_be_visible()
    for code in codes.all():
        expect(code).to_have_js_property("complete", True)
        assert code.evaluate("image => image.naturalWidth") > 100


def sign_up(page: Page, email: str, password: str = "correct horse battery") -> None:
    page.goto("/sign-up")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Make an account").click()
    expect(page.get_by_role("status").first).to_contain_text("Welcome")
