"""The pages, part by part; `ALL` is what `app.py` serves."""

from client.pages import matches, site

ALL = (site.pages, matches.pages)
