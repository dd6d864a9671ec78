"""The admins' pages, one module an area; `ALL` is what `pages/__init__.py` serves."""

from client.pages.admin import actions, figures, log, money, overview, password, people, resale, rooms, security

ALL = (
    overview.pages, figures.pages, log.pages, security.pages, money.pages, resale.pages, people.pages, rooms.pages,
    actions.pages, password.pages,
)  # fmt: skip
