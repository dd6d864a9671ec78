"""Reading a JSON body so that nothing ambiguous, oversized or endless gets past the door."""

import json
import re
import threading
from collections.abc import Mapping
from typing import Any, TypeVar

import orjson
from flask import request
from pydantic import BaseModel, ValidationError

from shared.errors import (
    BadRequest,
    BodyTooLarge,
    MalformedJson,
    Overloaded,
    UnsupportedMediaType,
    ValidationFailed,
    Violation,
)
from shared.http.validation import VIOLATIONS_MAX, violation, violations

M = TypeVar("M", bound=BaseModel)

DEPTH_MAX = 64
SLOT_SECONDS_MAX = 2.0
WHOLE_MAX = 2**53
READ_KEY = "matchday.body_read"  # where in the WSGI environment is said that the whole body has been read
_FRACTION = re.compile(rb"[0-9][.eE]")
_NUL = b"\\u0000"


class _Duplicate(ValueError):
    pass


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Duplicate
    return members


def _number(text: str) -> float | int:
    # JSON knows one kind of number: 2.0 is as whole as 2, and JSON Schema says so too.
    value = float(text)
    return int(value) if value.is_integer() and abs(value) <= WHOLE_MAX else value


_decoder = json.JSONDecoder(object_pairs_hook=_object_without_duplicates, parse_float=_number)


class BodyReader:
    """Reads bodies on at most so many threads at once, so that slow senders leave some for everybody else."""

    def __init__(self, readers_max: int, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._slots = threading.BoundedSemaphore(max(1, readers_max))

    def read_json(self, model: type[M]) -> M:
        """The request's body as the model; a clear 4xx otherwise, or `Overloaded`."""
        return parse_json(model, self.read_json_bytes())

    def read_json_if_any(self, model: type[M]) -> M | None:
        """The same for a body that may be left out: an empty one is none, whatever it is said to be."""
        declared = request.environ.get("CONTENT_LENGTH") or "0"
        raw = self.read() if declared == "0" else self.read_json_bytes()
        if not raw:
            return None
        _check_media_type(request.environ.get("CONTENT_TYPE", ""))
        return parse_json(model, raw)

    def read_json_bytes(self) -> bytes:
        """The request's body, said to be JSON but not looked at."""
        _check_media_type(request.environ.get("CONTENT_TYPE", ""))
        return self.read()

    def read(self) -> bytes:
        """The request's raw body."""
        if not self._slots.acquire(timeout=SLOT_SECONDS_MAX):
            raise Overloaded("too many bodies are being received")
        try:
            return read_bytes(self._bytes_max)
        finally:
            self._slots.release()


def read_bytes(bytes_max: int) -> bytes:
    """The request's raw body.

    Raises `BodyTooLarge` by its declared length or, when it comes in chunks, by its real one, and `BadRequest`
    when it ended early. Werkzeug's own reader would cut a long chunked body off and say nothing.
    """
    environ = request.environ
    declared = environ.get("CONTENT_LENGTH") or ("" if environ.get("wsgi.input_terminated") else "0")
    if declared and not (declared.isascii() and declared.isdigit()):
        raise BadRequest("the Content-Length is not a number")
    expected = int(declared) if declared else bytes_max + 1
    if declared and expected > bytes_max:
        raise BodyTooLarge(f"at most {bytes_max} bytes are taken")
    raw = _read(environ["wsgi.input"], expected)
    if declared and len(raw) < expected:
        raise BadRequest("the body ended early")
    if len(raw) > bytes_max:
        raise BodyTooLarge(f"at most {bytes_max} bytes are taken")
    environ[READ_KEY] = True
    return raw


def leaves_body(environ: Mapping[str, Any]) -> bool:
    """Whether the request has a body that nobody has read to its end."""
    has_body = environ.get("CONTENT_LENGTH", "") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ
    return has_body and READ_KEY not in environ


def _read(stream: Any, size: int) -> bytes:
    pieces: list[bytes] = []
    try:
        while size > 0 and (piece := stream.read(size)):
            pieces.append(piece)
            size -= len(piece)
    except (OSError, ValueError):
        raise BadRequest("the body ended early") from None
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def parse_json(model: type[M], raw: bytes) -> M:
    """The model from JSON bytes. Raises `MalformedJson`, `ValidationFailed`."""
    document = strict_json(raw)
    if not isinstance(document, dict):
        raise ValidationFailed("the body must be a JSON object", errors=[_whole("must be a JSON object")])
    if _NUL in raw:
        _refuse_nul(document)
    if _FRACTION.search(raw):
        # The standard library's writer, because orjson's knows no whole number beyond 64 bits.
        raw = json.dumps(document).encode()
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise ValidationFailed("the body is not valid", errors=violations(error, "pointer")) from None


def strict_json(raw: bytes) -> Any:
    """Any JSON document: UTF-8, finite numbers, no member twice, at most `DEPTH_MAX` levels deep."""
    try:
        # orjson is strict about the grammar but keeps the last of two equal members, so it is read once more.
        document = orjson.loads(raw)
        if raw.count(b"{") + raw.count(b"[") > DEPTH_MAX:
            _refuse_depth(document)
        document = _decoder.decode(raw.decode())
    except orjson.JSONDecodeError as error:
        raise MalformedJson(f"{error.msg}: line {error.lineno} column {error.colno}") from None
    except _Duplicate:
        raise MalformedJson("an object has the same member twice") from None
    except (ValueError, RecursionError):
        raise MalformedJson("a number or the nesting is beyond what is taken") from None
    return document


def _refuse_depth(document: Any) -> None:
    level = [document]
    for _ in range(DEPTH_MAX):
        level = [inner for value in level for inner in _children(value)]
        if not level:
            return
    raise MalformedJson(f"nested more than {DEPTH_MAX} levels deep")


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _refuse_nul(document: dict[str, Any]) -> None:
    # PostgreSQL cannot store the character, so no text may bring it in.
    wrong: list[Violation] = []
    todo: list[tuple[tuple[int | str, ...], Any]] = [((), document)]
    while todo and len(wrong) < VIOLATIONS_MAX:
        location, value = todo.pop()
        if isinstance(value, dict):
            todo += [((*location, key), inner) for key, inner in value.items()]
            todo += [((*location, key), key) for key in value if "\0" in key]
        elif isinstance(value, list):
            todo += [((*location, index), inner) for index, inner in enumerate(value)]
        elif isinstance(value, str) and "\0" in value:
            wrong.append(violation("pointer", location, "nul_character", "must not contain the character NUL"))
    if wrong:
        raise ValidationFailed("the body is not valid", errors=wrong)


def _check_media_type(content_type: str) -> None:
    media_type, _, parameters = content_type.partition(";")
    charset = parameters.partition("charset=")[2].strip().strip('"').lower()
    if media_type.strip().lower() != "application/json" or charset not in ("", "utf-8", "utf8"):
        raise UnsupportedMediaType("the body must be application/json in UTF-8")


def _whole(detail: str) -> Violation:
    return violation("pointer", (), "wrong_type", detail)
