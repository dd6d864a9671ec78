"""The pages, part by part; `ALL` is what `app.py` serves."""

from client.pages import account, holds, matches, signing, site, tickets

ALL = (site.pages, matches.pages, holds.pages, tickets.pages, signing.pages, account.pages)
