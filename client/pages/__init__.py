"""The pages, part by part; `ALL` is what `app.py` serves."""

from client.pages import account, admin, gate, holds, matches, resale, signing, site, tickets, waiting

ALL = (
    site.pages, matches.pages, holds.pages, tickets.pages, signing.pages, account.pages, gate.pages, resale.pages,
    waiting.pages, *admin.ALL,
)  # fmt: skip
