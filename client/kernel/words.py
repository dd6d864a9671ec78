"""Words in the visitor's language, for Python code; templates have the same functions by Jinja's i18n extension.

`_("…")` translates now, `N_("…")` only marks a text that is translated later, where it is shown.
"""

from flask import g, has_app_context

from client.kernel.languages import SOURCE, Language


def language() -> Language:
    """The visitor's."""
    found = g.visit.language
    assert isinstance(found, Language)
    return found


def language_code() -> str:
    """Of the language that these functions answer in: the visitor's, or the source's where nobody visits."""
    return language().code if _speaks() else SOURCE


def N_(text: str) -> str:
    """Marks a text for the catalogues."""
    return text


def gettext(text: str) -> str:
    return language().texts.gettext(text) if _speaks() else text


def ngettext(singular: str, plural: str, count: int) -> str:
    return language().texts.ngettext(singular, plural, count) if _speaks() else (singular if count == 1 else plural)


def pgettext(context: str, text: str) -> str:
    return language().texts.pgettext(context, text) if _speaks() else text


def npgettext(context: str, singular: str, plural: str, count: int) -> str:
    if not _speaks():
        return singular if count == 1 else plural
    return language().texts.npgettext(context, singular, plural, count)


def _(text: str, **values: object) -> str:
    """The text in the visitor's language, its `%(name)s` filled in."""
    translated = gettext(text)
    return translated % values if values else translated


def time_zone() -> str | None:
    """The zone of the site's matches, by IANA's name; None for UTC."""
    return g.visit.settings.match_time_zone or None if _speaks() else None


def _speaks() -> bool:
    return has_app_context() and "visit" in g
