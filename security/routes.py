"""HTTP: parse, one use case, answer."""

import time
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from flask import Response, request

from security import handlers
from security.domain import ListEntry, ListFull, rate_class_of
from security.engine.addresses import address_of
from security.engine.gate import RedisGate
from security.engine.refusals import Decision
from security.handlers import Desk, NewEntry
from security.schemas import (
    ActionAnswer,
    ActionOutcome,
    ActionPage,
    ActionQuery,
    AuditPage,
    AuditQuery,
    ChallengeAnswer,
    Check,
    Checked,
    CountAnswer,
    DecisionAnswer,
    ListEntryAnswer,
    ListPage,
    ListQuery,
    NewAction,
    NewListEntry,
    OriginalHeaders,
    Statistics,
    StatisticsQuery,
)
from shared.errors import Blocked, ChallengeRequired, DependencyUnavailable, IdempotencyKeyReused, NotFound
from shared.http import LOCATION, Caller, IdempotencyHeaders, Question, Routes, json_answer, roles
from shared.http.callers import HEADERS_KEY, RateClass
from shared.idempotency import body_hash

routes = Routes("security", "Verdicts for proxies, and challenges.")
admin = Routes("admin", "Block and allow lists, and the audit log, for admins.")
actions = Routes("actions", "The log of what admins and the operator change, at any service.")
internal = Routes("internal", "The same for the site's operator.")

OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Wiring:
    """What `app.py` made. `edge` is the gate that proxies ask; its counters are its own."""

    desk: Desk
    edge: RedisGate


@routes.post("/api/security/check", answer=Checked, operator=True, raises=[DependencyUnavailable])
def check_request(wiring: Wiring, body: Check) -> Checked:
    """What to do with a request: let it in, ask for a challenge, or refuse it.

    For a proxy or a program in front of the services, with the service token. The services ask by themselves, so
    that nobody has to; what is asked here is counted apart from that.
    """
    return Checked.of(*_decide(wiring, body.address, body.method, body.path, body.account_id, body.environ()))


@routes.get(
    "/api/security/check",
    answer=None,
    status=204,
    operator=True,
    raises=[Blocked, ChallengeRequired, DependencyUnavailable],
)
def check_for_proxy(wiring: Wiring, headers: OriginalHeaders) -> Response:
    """The same for a proxy's `auth_request`: 204 lets the request in, 403 does not.

    The proxy sends the service token, tells the client's address, method and path in the X-Original headers, and hands
    the client's other headers on.
    """
    environ = {name: value for name, value in request.environ.items() if name.startswith("HTTP_")}
    environ["PATH_INFO"] = headers.uri.partition("?")[0]
    decision, told = _decide(wiring, headers.address, headers.method, headers.uri, None, environ)
    if decision.verdict == "allow":
        return json_answer(None, 204, told)
    request.environ[HEADERS_KEY] = told
    detail = decision.reasons[0]
    if decision.verdict == "challenge":
        raise ChallengeRequired(detail, challenge="/api/security/challenge")
    raise Blocked(detail, retry_after=decision.retry_after or None)


def _decide(
    wiring: Wiring, address: str, method: str, path: str, account_id: str | None, environ: dict[str, Any]
) -> tuple[Decision, list[tuple[str, str]]]:
    plain = path.partition("?")[0]
    rate_class = cast(RateClass, rate_class_of(method, plain))
    return wiring.edge.decide(Question(address, method, plain[:200], rate_class, account_id, environ))


@routes.get("/api/security/challenge", answer=ChallengeAnswer, limit="challenge")
def get_challenge(wiring: Wiring, address: str) -> ChallengeAnswer:
    """A proof of work for who is told `challenge_required`.

    Solve it (with a library or the widget of ALTCHA, version 2) and send the same request again with the base64 of
    `{"challenge", "solution"}` in the header `X-Challenge-Solution`. It counts once, from this address, for some
    minutes. The answer's `X-Challenge-Pass`, also a cookie, spares further challenges for a while. Credentials are not
    looked at.
    """
    made = wiring.edge.challenges.make(address_of(address).key, time.time())
    return ChallengeAnswer(parameters=made["parameters"], signature=made["signature"])


# Lists


@admin.get("/api/security/lists", answer=ListPage, access=roles("admin"), raises=[DependencyUnavailable])
def list_entries(wiring: Wiring, query: ListQuery) -> ListPage:
    """Who is on the lists."""
    cursor = None if query.cursor is None else str(query.cursor)
    found = handlers.list_entries(wiring.desk, query.kind, cursor, query.limit)
    more = UUID(found[-1].id) if len(found) == query.limit else None
    return ListPage(items=[ListEntryAnswer.of(entry) for entry in found], next_cursor=more)


@admin.post(
    "/api/security/lists",
    answer=ListEntryAnswer,
    status=201,
    sends=LOCATION,
    access=roles("admin"),
    raises=[ListFull, IdempotencyKeyReused, NotFound, DependencyUnavailable],
)
def add_entry(wiring: Wiring, caller: Caller, body: NewListEntry, headers: IdempotencyHeaders) -> Response:
    """List a network or an account. Every process goes by it within a second."""
    assert caller.account is not None
    return _created(_add(wiring, caller.account.id, body, headers), "/api/security/lists")


@admin.get(
    "/api/security/lists/{entryId}",
    answer=ListEntryAnswer,
    access=roles("admin"),
    raises=[NotFound, DependencyUnavailable],
)
def get_entry(wiring: Wiring, entry_id: UUID) -> ListEntryAnswer:
    """One entry."""
    return ListEntryAnswer.of(handlers.get_entry(wiring.desk, str(entry_id)))


@admin.delete(
    "/api/security/lists/{entryId}", status=204, access=roles("admin"), raises=[NotFound, DependencyUnavailable]
)
def remove_entry(wiring: Wiring, entry_id: UUID) -> None:
    """Take an entry off the lists."""
    handlers.remove_entry(wiring.desk, str(entry_id))


def _add(wiring: Wiring, by: str, body: NewListEntry, headers: IdempotencyHeaders) -> ListEntry:
    key = headers.idempotency_key
    account_id = None if body.account_id is None else str(body.account_id)
    hashed = body_hash(body) if key else b""
    wanted = NewEntry(body.kind, body.network, account_id, body.reason, body.expires_at, by, key, hashed)
    return handlers.add_entry(wiring.desk, wanted)


def _created(entry: ListEntry, where: str) -> Response:
    return json_answer(ListEntryAnswer.of(entry), 201, [("Location", f"{where}/{entry.id}")])


# The audit log


@admin.get("/api/security/audit", answer=AuditPage, access=roles("admin"), raises=[DependencyUnavailable])
def list_decisions(wiring: Wiring, query: AuditQuery) -> AuditPage:
    """What was decided, the latest first: every refusal, and all that was let in and changes something.

    Alike decisions within a moment are one item with their number.
    """
    found = handlers.find_decisions(wiring.desk, query.search(), query.cursor, query.limit)
    more = found[-1].id if len(found) == query.limit else None
    return AuditPage(items=[DecisionAnswer.of(record) for record in found], next_cursor=more)


@admin.get("/api/security/statistics", answer=Statistics, access=roles("admin"), raises=[DependencyUnavailable])
def count_decisions(wiring: Wiring, query: StatisticsQuery) -> Statistics:
    """How often what was decided, by hour."""
    found = handlers.count_decisions(wiring.desk, query.hours)
    return Statistics(items=[CountAnswer.of(count) for count in found])


# What admins change


@actions.get(
    "/api/admin/audit",
    answer=ActionPage,
    access=roles("admin", services=True),
    raises=[DependencyUnavailable],
)
def list_actions(wiring: Wiring, query: ActionQuery) -> ActionPage:
    """What admins and the operator changed or tried to change, at every service, the latest first.

    An entry is written before anything is done, and its status when the answer is known.
    """
    found = handlers.find_actions(wiring.desk, query.search(), query.cursor, query.limit)
    more = found[-1].number if len(found) == query.limit else None
    return ActionPage(items=[ActionAnswer.of(action) for action in found], next_cursor=more)


@actions.post("/internal/admin-actions", status=204, raises=[DependencyUnavailable])
def keep_action(wiring: Wiring, body: NewAction) -> None:
    """A service tells what an admin is about to change there; told again, nothing happens."""
    handlers.keep_action(wiring.desk, body.action())


@actions.post("/internal/admin-actions/{actionId}/outcome", status=204, raises=[NotFound, DependencyUnavailable])
def end_action(wiring: Wiring, action_id: UUID, body: ActionOutcome) -> None:
    """A service tells how it ended; the first word counts."""
    handlers.end_action(wiring.desk, str(action_id), body.status, body.ended_at)


# The same with the service token


@internal.get("/internal/security/lists", answer=ListPage, raises=[DependencyUnavailable])
def list_entries_internally(wiring: Wiring, query: ListQuery) -> ListPage:
    """Who is on the lists."""
    return list_entries(wiring, query)


@internal.post(
    "/internal/security/lists",
    answer=ListEntryAnswer,
    status=201,
    sends=LOCATION,
    audited=True,
    raises=[ListFull, IdempotencyKeyReused, NotFound, DependencyUnavailable],
)
def add_entry_internally(wiring: Wiring, body: NewListEntry, headers: IdempotencyHeaders) -> Response:
    """List a network or an account."""
    return _created(_add(wiring, OPERATOR, body, headers), "/internal/security/lists")


@internal.delete(
    "/internal/security/lists/{entryId}", status=204, audited=True, raises=[NotFound, DependencyUnavailable]
)
def remove_entry_internally(wiring: Wiring, entry_id: UUID) -> None:
    """Take an entry off the lists."""
    handlers.remove_entry(wiring.desk, str(entry_id))


@internal.get("/internal/security/audit", answer=AuditPage, raises=[DependencyUnavailable])
def list_decisions_internally(wiring: Wiring, query: AuditQuery) -> AuditPage:
    """What was decided, the latest first."""
    return list_decisions(wiring, query)
