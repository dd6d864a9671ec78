"""Which request or message the code is working for: a request id and a W3C trace context.

Both live in one context variable: HTTP sets it per request, consumers per message, the outbox copies the trace
into the message's headers, and every log line carries it. No spans are exported from here; the ids are those
of https://www.w3.org/TR/trace-context/, so that any collector in front of or behind a site can join them.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from contextvars import ContextVar, Token
from typing import NamedTuple

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16
SAMPLED = "01"


class TraceContext(NamedTuple):
    """Where in a trace we are; ids in lower-case hexadecimal."""

    trace_id: str
    span_id: str
    flags: str = SAMPLED

    @property
    def traceparent(self) -> str:
        """The header's value, for HTTP and for Kafka."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


class Work(NamedTuple):
    """What the running code works for."""

    request_id: str
    trace: TraceContext


_current: ContextVar[Work | None] = ContextVar("matchday_work", default=None)


def current() -> Work | None:
    """The request or message that is being worked on, if any."""
    return _current.get()


def request_id() -> str | None:
    """Id of the request that is being worked on."""
    work = _current.get()
    return None if work is None else work.request_id


def traceparent() -> str | None:
    """The current trace context as a header's value, for what is sent on."""
    work = _current.get()
    return None if work is None else work.trace.traceparent


def parse_traceparent(value: str | None) -> TraceContext | None:
    """The context a header names, or None when the header is missing or wrong (then a new trace begins)."""
    match = _TRACEPARENT.fullmatch(value) if value else None
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    # Version ff is forbidden; version 00 ends after the flags, later ones may go on.
    if version == "ff" or (version == "00" and rest) or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return TraceContext(trace_id, span_id, flags)


def begin(request_id: str | None, traceparent: str | None) -> Token[Work | None]:
    """Begins work: takes over a sane request id and trace, makes new ones otherwise. Give the token to `end`."""
    ids = os.urandom(40).hex()  # asked for once: each time costs a system call
    if request_id is None or not _REQUEST_ID.fullmatch(request_id):
        request_id = ids[:32]
    parent = parse_traceparent(traceparent)
    span_id = ids[64:]
    trace = TraceContext(ids[32:64], span_id) if parent is None else parent._replace(span_id=span_id)
    return _current.set(Work(request_id, trace))


def end(token: Token[Work | None]) -> None:
    """Ends what `begin` began."""
    _current.reset(token)


@contextlib.contextmanager
def working(request_id: str | None = None, traceparent: str | None = None) -> Iterator[Work]:
    """`begin` and `end` around a block, for consumers and workers."""
    token = begin(request_id, traceparent)
    try:
        work = _current.get()
        assert work is not None
        yield work
    finally:
        end(token)
