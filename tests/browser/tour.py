"""Every page, each in the states that look different: what pictures are taken of, and what is checked everywhere."""

from collections.abc import Callable, Iterator

from playwright.sync_api import expect

from tests.browser import shopping
from tests.browser.chromium import Visitor

PUBLIC = {
    "matches": "/matches",
    "search": "/matches?q=Argentina",
    "filters": "/matches?group=C&sort=price",
    "nothing-found": "/matches?q=zzzzzz",
    "match": "/matches/9",
    "sign-in": "/sign-in",
    "sign-up": "/sign-up",
    "open": "/reservations/open",
    "no-tickets": "/tickets",
    "verify-email": "/verify-email?token=abc",
    "forgot-password": "/forgot-password",
    "reset-password": "/reset-password?token=abc",
    "not-found": "/nothing",
}
Visits = Callable[..., Visitor]


def tour(visit: Visits, **options: object) -> Iterator[tuple[str, Visitor]]:
    """Walks through the pages; each time it stops, one is to be seen."""
    guest = visit(**options)
    for name, path in PUBLIC.items():
        guest.page.goto(path)
        yield name, guest
    yield from buying(guest)
    yield from own_account(visit(**options))


def buying(guest: Visitor) -> Iterator[tuple[str, Visitor]]:
    """From a form with a mistake to a ticket."""
    page = guest.page
    page.goto("/sign-in")
    page.get_by_label("E-mail address").fill("nobody@example.org")
    page.get_by_label("Password").fill("a wrong password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    yield "sign-in-wrong", guest
    shopping.hold(page, 9, shopping.new_email())
    expect(page.get_by_role("timer")).to_be_visible()
    yield "held", guest
    page.goto("/tickets")
    yield "not-paid-yet", guest
    page.go_back()
    page.get_by_role("link", name="Pay").click()
    shopping.fill_card(page, shopping.DECLINED)
    yield "pay", guest
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_text("The payment did not go through")).to_be_visible()
    yield "pay-declined", guest
    shopping.fill_card(page, shopping.GOOD)
    page.get_by_role("button", name="Pay").click()
    shopping.wait_for_tickets(page)
    yield "reserved", guest
    page.goto("/tickets")
    shopping.wait_for_codes(page)
    yield "tickets", guest
    shopping.hold(page, 10, shopping.new_email())
    reservation = page.url
    page.get_by_role("button", name="Give them back").click()
    expect(page.get_by_role("status").first).to_contain_text("The tickets have gone back")
    yield "given-back", guest
    page.goto(reservation)
    yield "cancelled", guest


def own_account(member: Visitor) -> Iterator[tuple[str, Visitor]]:
    """What somebody with an account has."""
    page = member.page
    shopping.sign_up(page, shopping.new_email())
    yield "signed-up", member
    page.goto("/matches/9")
    yield "match-signed-in", member
    page.goto("/account")
    yield "account", member
    page.get_by_label("Present password").fill("not my password")
    page.get_by_label("New password").fill("another good password")
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_text("This is not your present password.")).to_be_visible()
    yield "account-wrong", member
    page.goto("/account/delete")
    yield "delete-account", member
