"""Jinja, with our languages and assets."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from client import fixtures
from client.kernel import words
from client.kernel.assets import Assets
from client.kernel.languages import Languages
from client.navigation import navigation
from client.notices import NOTICES

TEMPLATES = Path(__file__).parents[1] / "templates"
EXTENSIONS = ["jinja2.ext.i18n", "jinja2.ext.do"]


def make_environment(languages: Languages, assets: Assets) -> Environment:
    """The templates. What is not defined is an error, and everything is escaped."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        extensions=EXTENSIONS,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        words.gettext, words.ngettext, newstyle=True, pgettext=words.pgettext, npgettext=words.npgettext
    )
    environment.globals |= {
        "asset": assets.path,
        "languages": languages.all,
        "navigation": navigation,
        "notices": NOTICES,
    }
    environment.globals |= {"fixture": fixtures}
    return environment
