"""`make screenshots`: a picture of each page, at a phone's and a desk's width, into var/screenshots.

No test by its name, so that a plain run leaves it out; it is run as one, for it needs the same site.
"""

from collections.abc import Iterable

import pytest

from matchday.paths import VAR
from tests.browser.administration import admin_of, admin_tour
from tests.browser.chromium import DESKTOP, PHONE, Visitor
from tests.browser.market import market_tour
from tests.browser.tour import Visits, tour
from tests.sites import RunningSite

FOLDER = VAR / "screenshots"
LOOKS = {
    "arabic": {"locale": "ar"},
    "dark": {"color_scheme": "dark"},
    "french": {"locale": "fr"},
    "spanish": {"locale": "es"},
}


def photograph(visitor: Visitor, name: str) -> None:
    """The whole page at both widths."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for size, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
        visitor.page.set_viewport_size(viewport)  # type: ignore[arg-type]
        visitor.page.screenshot(path=FOLDER / f"{name}-{size}.png", full_page=True)
    visitor.page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]


def photograph_paths(visitor: Visitor, look: str, paths: Iterable[str]) -> None:
    for path in paths:
        visitor.page.goto(path)
        photograph(visitor, look + path.replace("/", "-"))


def test_pictures_of_buying(visit: Visits) -> None:
    for name, visitor in tour(visit):
        photograph(visitor, name)


def test_pictures_of_resale_gate_and_waiting_room(visit: Visits, site: RunningSite) -> None:
    for name, visitor in market_tour(visit, site):
        photograph(visitor, name)


def test_pictures_of_the_admins_pages(visit: Visits, site: RunningSite) -> None:
    for name, visitor in admin_tour(visit, site):
        photograph(visitor, name)


def test_pictures_of_the_admins_plots_in_other_looks(visit: Visits, site: RunningSite) -> None:
    admin = admin_of(visit, site)
    for look, options in LOOKS.items():
        admin.page.emulate_media(color_scheme="dark" if look == "dark" else "light")
        language = {"name": "matchday_language", "value": options.get("locale", "en"), "url": admin.base}
        admin.context.add_cookies([language])  # type: ignore[list-item]
        photograph_paths(admin, look, ("/admin", "/admin/figures"))


@pytest.mark.parametrize("look", LOOKS)
def test_pictures_of_buying_in_other_looks(visit: Visits, look: str) -> None:
    paths = ("/matches", "/matches/9", "/sign-up", "/resale", "/matches/9/wait")
    photograph_paths(visit(**LOOKS[look]), look, paths)
