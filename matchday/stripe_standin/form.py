"""Stripe's form encoding: `metadata[a]=b`, `expand[]=x`, `list[0][a]=b`; and reading parameters from it."""

from typing import Any
from urllib.parse import parse_qsl

from matchday.stripe_standin.errors import StripeError, invalid

Params = dict[str, Any]
FIELDS_MAX = 500
WHOLE_MAX = 10**12


def decode(raw: str) -> Params:
    """The nested parameters of a query string or a form."""
    try:
        pairs = parse_qsl(raw, keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except ValueError:
        raise invalid("Too many parameters.") from None
    params: Params = {}
    for name, value in pairs:
        _put(params, _path(name), value)
    return {name: _lists(value) for name, value in params.items()}


def _path(name: str) -> list[str]:
    head, _, rest = name.partition("[")
    return [head, *(part.removesuffix("]") for part in rest.split("["))] if rest else [head]


def _put(into: Params, path: list[str], value: str) -> None:
    *parents, last = path
    for part in parents:
        into = into.setdefault(part or str(len(into)), {})
        if not isinstance(into, dict):
            raise invalid("Invalid hash")
    into[last or str(len(into))] = value


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(inner) for key, inner in value.items()}


def known(params: Params, *names: str) -> None:
    """Raises for a parameter that the route does not take."""
    for name in params:
        if name not in (*names, "expand"):
            raise invalid(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)


def required(params: Params, name: str) -> Any:
    """A parameter that must be there."""
    if params.get(name) in (None, ""):
        raise invalid(f"Missing required param: {name}.", code="parameter_missing", param=name)
    return params[name]


def whole(params: Params, name: str, default: int | None = None) -> int | None:
    """A whole number."""
    value = params.get(name)
    if value is None:
        return default
    if not isinstance(value, str) or not value.removeprefix("-").isdecimal() or abs(int(value)) > WHOLE_MAX:
        raise invalid(f"Invalid integer: {value}", code="parameter_invalid_integer", param=name)
    return int(value)


def truth(params: Params, name: str) -> bool:
    """True or false; false when it is not there."""
    value = params.get(name, "false")
    if value not in ("true", "false"):
        raise invalid(f"Invalid boolean: {value}", param=name)
    return bool(value == "true")


def hash_of(params: Params, name: str) -> Params:
    """A nested parameter."""
    value = params.get(name, {})
    if value in ("", []):
        return {}
    if not isinstance(value, dict):
        raise wrong_hash(name)
    return value


def wrong_hash(name: str) -> StripeError:
    return invalid("Invalid hash", param=name)


METADATA_KEYS_MAX = 50


def metadata(params: Params) -> dict[str, str]:
    """Up to 50 keys of up to 40 characters with values of up to 500."""
    given = hash_of(params, "metadata")
    if len(given) > METADATA_KEYS_MAX:
        raise invalid("Metadata can have at most 50 keys.", param="metadata")
    for key, value in given.items():
        if len(key) > 40 or not isinstance(value, str) or len(value) > 500:
            raise invalid(f"Invalid metadata: {key[:40]}", param=f"metadata[{key[:40]}]")
    return given
