"""A visit: one request of a visitor, with all that a page needs to answer it."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from flask import Response, request
from jinja2 import Environment
from markupsafe import Markup

from client.calls import Calls
from client.kernel.assets import Assets
from client.kernel.cookies import NOTICE_COOKIE, Jar
from client.kernel.forms import CSRF_FIELD, Form
from client.kernel.languages import Language, Languages
from client.settings import ClientSettings
from shared.http.callers import Account

HTML = "text/html; charset=utf-8"
# What each part of a page may come from. Nothing is inline, and nothing is anybody else's.
POLICY = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    "img-src": ["'self'"],
    "connect-src": ["'self'"],
    "form-action": ["'self'"],
    "base-uri": ["'none'"],
    "frame-ancestors": ["'none'"],
}
PATH_LONGEST = 300


@dataclass(frozen=True)
class Site:
    """What all visits share; made by `app.py`."""

    settings: ClientSettings
    languages: Languages
    assets: Assets
    environment: Environment


@dataclass
class Visit:
    """One request of a visitor."""

    site: Site
    jar: Jar
    language: Language
    address: str
    calls: Calls
    account: Account | None = None
    form: Form = field(default_factory=Form)
    _policy: dict[str, list[str]] = field(default_factory=dict)

    @property
    def settings(self) -> ClientSettings:
        return self.site.settings

    def may(self, *roles: str) -> bool:
        """Whether the account has one of these roles."""
        return self.account is not None and bool(self.account.roles & set(roles))

    def allow(self, directive: str, *sources: str) -> None:
        """Lets this page alone load something from elsewhere, such as Stripe's script."""
        self._policy.setdefault(directive, []).extend(sources)

    def render(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page. `values` are the template's variables, beside `visit`, `language` and `form`."""
        page = self.site.environment.get_template(template)
        text = page.render(visit=self, language=self.language, form=self.form, notice=self._notice(), **values)
        return Response(text, status, [("Content-Security-Policy", self.policy())], content_type=HTML)

    def redirect(self, path: str, notice: str | None = None) -> Response:
        """On to another page of ours, with a GET; `notice` names what that one says once (`notices.html`)."""
        if notice:
            self.jar.notice(notice)
        return Response("", 303, [("Location", path)])

    def policy(self) -> str:
        """The page's Content-Security-Policy."""
        names = POLICY | {name: [] for name in self._policy if name not in POLICY}
        parts = [f"{name} {' '.join([*sources, *self._policy.get(name, ())])}" for name, sources in names.items()]
        return "; ".join(parts)

    def _notice(self) -> str | None:
        name = self.jar.get(NOTICE_COOKIE)
        if name is not None:
            self.jar.forget(NOTICE_COOKIE)
        return name

    def csrf_field(self) -> Markup:
        """What every form must hold."""
        return Markup('<input type="hidden" name="{}" value="{}">').format(CSRF_FIELD, self.jar.form_token())

    def is_at(self, path: str) -> bool:
        """Whether this is the page of a path, or one below it."""
        return request.path == path or request.path.startswith(path.rstrip("/") + "/")

    @property
    def here(self) -> str:
        """Path and query of this request, to come back to."""
        return here()


def here() -> str:
    """Path and query of this request; of one that changes something the path alone."""
    query = request.environ.get("QUERY_STRING", "")
    path = quote(request.path)
    return path if request.method not in ("GET", "HEAD") or not query else f"{path}?{query}"


def own_path(text: str | None, otherwise: str = "/") -> str:
    """A path of ours that somebody has given us to go to next; anything else would lead elsewhere."""
    if not text or len(text) > PATH_LONGEST or not text.startswith("/") or text.startswith(("//", "/\\")):
        return otherwise
    parts = urlsplit(text)
    if parts.scheme or parts.netloc or any(ord(character) < 33 or character == "\\" for character in text):
        return otherwise
    return text
