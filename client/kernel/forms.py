"""Forms: what a visitor has sent, and what is wrong with it, so that the page can be shown again with both.

Fields have the names of the services' members, so that a service's `errors` find their fields by themselves.
"""

import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl

from client.calls import Refused
from client.kernel.problems import field_text
from client.kernel.words import _
from shared.errors import BadRequest, CsrfFailed, UnsupportedMediaType

FORM_TYPE = "application/x-www-form-urlencoded"
CSRF_FIELD = "csrf"
FIELDS_MAX = 200


class Form:
    """The fields of a form with what is wrong with them. An empty one is what a page shows at first."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self.values = dict(values or {})
        self.errors: dict[str, str] = {}  # field → words in the visitor's language
        self.error: str | None = None  # of the form as a whole

    def __getitem__(self, name: str) -> str:
        """A field without blanks around it; empty when it is missing."""
        return self.values.get(name, "").strip()

    def number(self, name: str) -> int | None:
        """A field that should be a whole number, as browsers send it; None for anything else."""
        text = self[name]
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None

    def require(self, *names: str) -> bool:
        """Whether these fields are filled in; those that are not get their error."""
        for name in names:
            if not self[name]:
                self.errors[name] = _(field_text(name, "required"))
        return not self.errors

    def refuse(self, refused: Refused, title: str) -> None:
        """Takes over what a service has found wrong; `title`, translated, is told when no field is meant."""
        for error in refused.errors:
            name = str(error.get("pointer", "")).strip("/")
            self.errors[name] = _(field_text(name, str(error.get("code"))))
        if not self.errors or not self.errors.keys() & self.values.keys():
            self.error = title


def read_form(raw: bytes, content_type: str) -> Form:
    """The form in a request's body. Raises `BadRequest`, `UnsupportedMediaType`."""
    if content_type.partition(";")[0].strip().lower() != FORM_TYPE:
        raise UnsupportedMediaType("forms are sent as application/x-www-form-urlencoded")
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
    except ValueError as error:
        raise BadRequest("the form cannot be read") from error
    if any("\0" in text for pair in pairs for text in pair):
        raise BadRequest("the form cannot be read")
    return Form(dict(pairs))


def check_csrf(form: Form, token: str | None, fetch_site: str | None) -> None:
    """Raises `CsrfFailed` for a form that is not from a page of ours.

    The token stands in a cookie that other sites cannot read, and in the form, where they could not have put it. A
    cookie without a value is none: a form without a token would bear the same. Browsers also say where a request comes
    from.
    """
    given = form.values.get(CSRF_FIELD, "")
    if not token or not hmac.compare_digest(given.encode(), token.encode()):
        raise CsrfFailed("the form does not bear this browser's token")
    if fetch_site not in (None, "same-origin", "none"):
        raise CsrfFailed("the form was sent by a page of another site")
