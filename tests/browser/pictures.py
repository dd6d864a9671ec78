"""`make screenshots`: a picture of each page, at a phone's and a desk's width, into var/screenshots.

No test by its name, so that a plain run leaves it out; it is run as one, for it needs the same site.
"""

from matchday.paths import VAR
from tests.browser.administration import admin_tour
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


def test_a_picture_of_every_page(visit: Visits, site: RunningSite) -> None:
    for pages in (tour(visit), market_tour(visit, site), admin_tour(visit, site)):
        for name, visitor in pages:
            photograph(visitor, name)
    for look, options in LOOKS.items():
        visitor = visit(**options)
        for path in ("/matches", "/matches/9", "/sign-up", "/resale", "/matches/9/wait"):
            visitor.page.goto(path)
            photograph(visitor, look + path.replace("/", "-"))
