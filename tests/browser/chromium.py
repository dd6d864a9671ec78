"""A headless Chromium of this machine, driven by Playwright; nothing is downloaded by it or for it."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
APPLICATIONS = (
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
)
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--force-color-profile=srgb",
]  # fmt: skip
# A program by its user agent counts for more at the gate; people come with a browser's.
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
WAIT_MILLISECONDS = 30_000
expect.set_options(timeout=WAIT_MILLISECONDS)
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}


def program() -> str:
    """The path of the browser; see deploy/browser.sh."""
    for name in (os.environ.get("BROWSER_PATH", ""), *PROGRAMS):
        found = shutil.which(name) if name else None
        if found:
            return found
    for path in APPLICATIONS:
        if path.exists():
            return str(path)
    raise AssertionError("no Chromium: sh deploy/browser.sh installs it")


@contextlib.contextmanager
def open_browser() -> Iterator[Browser]:
    """A browser with a profile of its own, closed afterwards."""
    with tempfile.TemporaryDirectory(prefix="matchday-browser-", ignore_cleanup_errors=True) as home, \
            sync_playwright() as playwright:  # fmt: skip
        environment: dict[str, str | float | bool] = {
            **os.environ,
            "HOME": home,
            "XDG_CONFIG_HOME": home,
            "XDG_CACHE_HOME": home,
        }
        browser = playwright.chromium.launch(
            executable_path=program(), args=FLAGS, env=environment, chromium_sandbox=False
        )
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """Somebody with a browser window of their own; remembers whatever the browser complained of."""

    def __init__(self, browser: Browser, base: str, **options: object) -> None:
        self.base = base
        self.complaints: list[str] = []
        self.asked: set[str] = set()
        settings = {"locale": "en-GB", "user_agent": AGENT, "viewport": DESKTOP, "reduced_motion": "reduce", **options}
        self.context: BrowserContext = browser.new_context(base_url=base, **settings)  # type: ignore[arg-type]
        self.context.set_default_timeout(WAIT_MILLISECONDS)
        self.page: Page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        self.page.on("console", self._heard)
        self.page.on("request", lambda request: self.asked.add("/".join(request.url.split("/")[:3])))

    def _heard(self, message: object) -> None:
        kind, text = getattr(message, "type", ""), getattr(message, "text", "")
        # Chromium calls each answer of 400 and above an error, also where a page expects it.
        if kind == "error" and "Failed to load resource" not in text:
            self.complaints.append(f"console: {text}")

    def close(self) -> None:
        self.context.close()
