"""Structured logs: one JSON object a line on stderr, with the service, the request and the trace.

Secrets never reach a line: values of telling names are replaced, credentials inside texts are cut out, and a
`SecretStr` prints itself as asterisks. Libraries that use `logging` come out in the same form.
"""

import functools
import logging
import re
import sys
import warnings
from collections.abc import Callable, MutableMapping
from typing import Any, TextIO

import orjson
import structlog

from shared import tracing

HIDDEN = "[hidden]"
_SECRET_NAMES = re.compile(
    r"authorization|cookie|passw|secret|token|api_?key|private_?key|card|cvc|(?:^|_)pan$|credential|dsn|database_url|redis_url",
    re.IGNORECASE,
)
# user:password@ in addresses, bearer credentials, Stripe's keys.
_SECRET_TEXT = re.compile(
    r"(?<=://)[^/\s@]*:[^/\s@]*(?=@)|(?<=[Bb]earer )[\w.~+/=-]+|\b(?:[rs]k_(?:live|test)|whsec)_\w+"
)
_LONGEST_VALUE = 4000

EventDict = MutableMapping[str, Any]


def configure(service: str, level: str = "info", stream: TextIO | None = None) -> None:
    """Sets up the logs of this process; call it once, before anything is logged."""
    number = logging.getLevelNamesMapping()[level.upper()]
    out = stream or sys.stderr
    shared = _processors(service)
    structlog.configure(
        processors=[*shared, _to_line],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=stream is None,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _to_line],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries tell of their inner life at info; what they warn of is ours to see.
    root.setLevel(max(number, logging.WARNING))
    logging.captureWarnings(not any(kind == "error" for kind, *_ in warnings.filters))


def _processors(service: str) -> list[Callable[..., Any]]:
    def add_where(_logger: Any, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        work = tracing.current()
        if work is not None:
            event.setdefault("requestId", work.request_id)
            event["traceId"] = work.trace.trace_id
        return event

    return [
        add_where,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        structlog.processors.format_exc_info,
        hide_secrets,
    ]


def hide_secrets(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Replaces what must not be read by whoever reads logs."""
    for name, value in event.items():
        event[name] = _hidden(name, value)
    return event


def _hidden(name: str, value: Any) -> Any:
    if _names_a_secret(name):
        return None if value is None else HIDDEN
    if isinstance(value, str):
        return _hidden_text(value[:_LONGEST_VALUE])
    if isinstance(value, dict):
        return {key: _hidden(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden("", inner) for inner in value]
    return value


@functools.lru_cache(maxsize=1024)
def _names_a_secret(name: str) -> bool:
    return _SECRET_NAMES.search(name) is not None


def _hidden_text(text: str) -> str:
    # Most texts are short and plain; looking for the marks first is ten times cheaper than the pattern.
    if "://" in text or "earer " in text or "k_live_" in text or "k_test_" in text or "whsec_" in text:
        return _SECRET_TEXT.sub(HIDDEN, text)
    return text


def _to_line(_logger: Any, _method: str, event: EventDict) -> str:
    record = {"timestamp": event.pop("timestamp", None), "level": event.pop("level", None)}
    record["event"] = event.pop("event", None)
    return orjson.dumps(record | dict(event), default=str, option=orjson.OPT_NON_STR_KEYS).decode()
