"""From pydantic's errors to ours, and from a query string, a path or headers to a model."""

import datetime
import decimal
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import parse_qsl

from pydantic import AwareDatetime, BaseModel, ValidationError

from shared.errors import BadRequest, ValidationFailed, Violation

VIOLATIONS_MAX = 50
QUERY_FIELDS_MAX = 100
NAME_SHOWN_MAX = 200

Place = Literal["pointer", "parameter", "header"]

# pydantic's error types, grouped into codes that stay when pydantic's names change.
_CODES = {
    "missing": "required",
    "extra_forbidden": "unknown",
    "literal_error": "not_allowed",
    "enum": "not_allowed",
    "union_tag_invalid": "not_allowed",
    "greater_than": "out_of_range",
    "greater_than_equal": "out_of_range",
    "less_than": "out_of_range",
    "less_than_equal": "out_of_range",
    "finite_number": "out_of_range",
    "multiple_of": "out_of_range",
    "int_parsing_size": "out_of_range",
    "decimal_max_digits": "out_of_range",
    "decimal_max_places": "out_of_range",
    "string_too_short": "wrong_length",
    "string_too_long": "wrong_length",
    "too_short": "wrong_length",
    "too_long": "wrong_length",
    "string_pattern_mismatch": "wrong_format",
    "timezone_aware": "wrong_format",
    "value_error": "invalid",
    "assertion_error": "invalid",
}
_DETAILS = {
    "missing": "is required",
    "extra_forbidden": "is not known here",
}
_MOMENT = (
    re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:.]{5,15}([Zz]|[+-][0-9]{2}:?[0-9]{2})"),
    "must be a moment like 2022-11-20T16:00:00Z",
)
# How values that arrive as text have to be written; pydantic alone would take " 1_0" for ten.
_FORMS: dict[Any, tuple[re.Pattern[str], str]] = {
    bool: (re.compile(r"true|false"), "must be true or false"),
    int: (re.compile(r"-?(0|[1-9][0-9]{0,18})"), "must be a whole number"),
    float: (re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?"), "must be a number"),
    decimal.Decimal: (re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?"), "must be a number"),
    datetime.date: (re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"), "must be a date like 2022-11-20"),
    datetime.datetime: _MOMENT,
    AwareDatetime: _MOMENT,
}


def violations(error: ValidationError, place: Place) -> list[Violation]:
    """What is wrong, in our words; never the values that were sent."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [_violation(problem["type"], problem["loc"], problem["msg"], place) for problem in found[:VIOLATIONS_MAX]]


def _violation(kind: str, location: Sequence[int | str], message: str, place: Place) -> Violation:
    detail = _DETAILS.get(kind) or message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return violation(place, location, _code(kind), detail)


def violation(place: Place, location: Sequence[int | str], code: str, detail: str) -> Violation:
    """One violation, its location as the place wants it: a JSON pointer or a name."""
    result: Violation = {"code": code, "detail": detail}
    result[place] = (
        json_pointer(location) if place == "pointer" else str(location[0])[:NAME_SHOWN_MAX] if location else ""
    )
    return result


def json_pointer(location: Iterable[int | str]) -> str:
    """RFC 6901; the empty pointer is the whole document."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)


def _code(kind: str) -> str:
    if kind in _CODES:
        return _CODES[kind]
    if kind.endswith("_type"):
        return "wrong_type"
    return "wrong_format" if "parsing" in kind or "_from_" in kind else kind


class TextFields:
    """The fields of a query or header model, whose values arrive as text."""

    def __init__(self, model: type[BaseModel], place: Place) -> None:
        self.model = model
        self.place: Place = place
        self._lists: set[str] = set()
        self._forms: dict[str, tuple[re.Pattern[str], str]] = {}
        for name, field in model.model_fields.items():
            alias = field.alias or name
            form, is_list = _text_form(field.annotation)
            if is_list:
                self._lists.add(alias)
            if form is not None:
                self._forms[alias] = form
        self._aliases = [field.alias or name for name, field in model.model_fields.items()]
        self._environ = [(alias, "HTTP_" + alias.upper().replace("-", "_")) for alias in self._aliases]

    def from_query(self, query_string: str) -> BaseModel:
        """The model from a raw query string. Raises `ValidationFailed`, `BadRequest`."""
        if not query_string:
            return self._build({}, [])
        values: dict[str, Any] = {}
        wrong: list[Violation] = []
        for name, value in _pairs(query_string):
            wrong += self._take(values, name, value)
        return self._build(values, wrong)

    def from_environ(self, environ: Mapping[str, Any]) -> BaseModel:
        """The model from a WSGI environment's headers. Raises `ValidationFailed`."""
        values = {alias: environ[key] for alias, key in self._environ if key in environ}
        return self._build(values, [])

    def _take(self, values: dict[str, Any], name: str, value: str) -> list[Violation]:
        if "\0" in value or "\0" in name:
            return [violation(self.place, [name], "nul_character", "must not contain the character NUL")]
        form = self._forms.get(name)
        if form is not None and not form[0].fullmatch(value):
            return [violation(self.place, [name], "wrong_format", form[1])]
        if name in self._lists:
            values.setdefault(name, []).append(value)
        elif name in values:
            return [violation(self.place, [name], "duplicate", "must be given only once")]
        else:
            values[name] = value
        return []

    def _build(self, values: dict[str, Any], wrong: list[Violation]) -> BaseModel:
        if wrong:
            raise ValidationFailed("the request has wrong parameters", errors=wrong[:VIOLATIONS_MAX])
        try:
            return self.model.model_validate(values)
        except ValidationError as error:
            raise ValidationFailed("the request has wrong parameters", errors=violations(error, self.place)) from None


def _pairs(query_string: str) -> list[tuple[str, str]]:
    # WSGI hands on the raw bytes as Latin-1; what is not UTF-8 after decoding is refused, not guessed.
    try:
        raw = query_string.encode("latin-1").decode("utf-8")
        return parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=QUERY_FIELDS_MAX)
    except UnicodeError:
        raise BadRequest("the query string is not UTF-8") from None
    except ValueError:
        raise BadRequest(f"the query string has more than {QUERY_FIELDS_MAX} fields") from None


def _text_form(annotation: Any) -> tuple[tuple[re.Pattern[str], str] | None, bool]:
    """How a field's text has to be written, and whether it may be given several times."""
    bases = list(_bases(annotation))
    is_list = any(typing.get_origin(base) is list or base is list for base in bases)
    kinds = [
        kind for base in bases for kind in ([base] if isinstance(base, type) else _bases(typing.get_args(base)[0]))
    ]
    if any(kind is str for kind in kinds):
        return None, is_list
    forms = [_FORMS[kind] for kind in kinds if kind in _FORMS]
    return (forms[0] if len(forms) == 1 else None), is_list


def _bases(annotation: Any) -> Iterable[Any]:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        yield from _bases(typing.get_args(annotation)[0])
    elif origin in (typing.Union, types.UnionType):
        for option in typing.get_args(annotation):
            yield from _bases(option)
    elif annotation is not types.NoneType:
        yield annotation


def text_form(annotation: Any) -> re.Pattern[str] | None:
    """How a path segment for this annotation has to be written."""
    form, _ = _text_form(annotation)
    return None if form is None else form[0]
