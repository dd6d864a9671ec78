"""The door: who is let in to which route, in which order it is asked, and what a page must prove."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from flask.testing import FlaskClient

from shared.errors import Blocked, Unauthenticated
from shared.http import PUBLIC, SIGNED_IN, TOKEN, Account, AnswerModel, Caller, Question, Routes, create_http_app, roles
from shared.http.callers import Environ
from tests.example_service import SERVICE_TOKEN, example_settings

CSRF = "value-of-the-cookie"
TOKEN_KEY = "HTTP_X_TEST_TOKEN"
BUYER = Account("a-1", "ada@example.org", True, frozenset({"buyer"}), "s-1")
ADMIN = replace(BUYER, id="a-2", roles=frozenset({"buyer", "admin"}))
PAGE = replace(BUYER, by_cookie=True, csrf=hashlib.sha256(CSRF.encode()).hexdigest())


class Who(AnswerModel):
    """Who called."""

    account: str | None
    address: str


routes = Routes("doors", "One route for each kind of access.")


def _who(caller: Caller) -> Who:
    return Who(account=caller.account.id if caller.account else None, address=caller.address)


@routes.get("/api/anybody", answer=Who, access=PUBLIC)
def anybody() -> Who:
    """Does not care who calls."""
    return Who(account=None, address="")


@routes.get("/api/where", answer=Who)
def where(address: str) -> Who:
    """Wants to know where from, not who."""
    return Who(account=None, address=address)


@routes.post("/api/perhaps", answer=Who)
def perhaps(caller: Caller) -> Who:
    """For guests and accounts."""
    return _who(caller)


@routes.post("/api/token", answer=Who, access=TOKEN)
def token(caller: Caller) -> Who:
    """Reads a token itself."""
    return _who(caller)


@routes.post("/api/signed-in", answer=Who, access=SIGNED_IN)
def signed_in(caller: Caller) -> Who:
    """For accounts."""
    return _who(caller)


@routes.get("/api/admins", answer=Who, access=roles("admin", "gate"), limit="gate")
def admins(caller: Caller) -> Who:
    """For some roles."""
    return _who(caller)


@routes.post("/api/both", answer=Who, access=roles("admin", services=True), audited=False)
def both(caller: Caller) -> Who:
    """For admins and for our own services."""
    return _who(caller)


@routes.post("/api/money", answer=Who, access=roles("admin"), fresh=True, audited=False)
def money(caller: Caller) -> Who:
    """For admins who gave their password a moment ago."""
    return _who(caller)


@routes.post("/internal/work", answer=Who)
def work(caller: Caller) -> Who:
    """For our own services."""
    return _who(caller)


@dataclass
class Known:
    """Accounts by token; "bad" is a token that was one."""

    accounts: dict[str, Account] = field(
        default_factory=lambda: {
            "buyer": BUYER,
            "admin": ADMIN,
            "page": PAGE,
            "fresh": replace(ADMIN, authenticated_at=time.time()),
            "stale": replace(ADMIN, authenticated_at=time.time() - 301),
        }
    )

    def account(self, environ: Environ) -> Account | None:
        name = environ.get(TOKEN_KEY, "")
        if name == "bad":
            raise Unauthenticated("the token is not valid")
        return self.accounts.get(name)


@dataclass
class Recorder:
    """A gate that remembers what it was asked."""

    closed: bool = False
    asked: list[Question] = field(default_factory=list)
    told: list[tuple[str, int]] = field(default_factory=list)

    def check(self, question: Question) -> Sequence[tuple[str, str]]:
        self.asked.append(question)
        if self.closed:
            raise Blocked("not from here")
        return [("RateLimit", '"read";r=9;t=1')]

    def tell(self, question: Question, status: int) -> None:
        self.told.append((question.route, status))


@pytest.fixture
def gate() -> Recorder:
    return Recorder()


@pytest.fixture
def client(gate: Recorder) -> FlaskClient:
    app = create_http_app("doors", "For tests.", example_settings(), routes=[routes], accounts=Known(), gate=gate)
    return app.test_client()


def _call(client: FlaskClient, method: str, path: str, token: str = "", **headers: str) -> tuple[int, object]:
    response = client.open(path, method=method, headers={"X-Test-Token": token, **headers})
    content = response.get_json()
    return response.status_code, content.get("code", content.get("account"))


@pytest.mark.parametrize(
    ("method", "path", "token", "answer"),
    [
        ("GET", "/api/anybody", "", (200, None)),
        ("GET", "/api/anybody", "bad", (200, None)),
        ("GET", "/api/where", "", (200, None)),
        ("GET", "/api/where", "bad", (200, None)),
        ("POST", "/api/perhaps", "", (200, None)),
        ("POST", "/api/perhaps", "buyer", (200, "a-1")),
        ("POST", "/api/perhaps", "bad", (401, "unauthenticated")),
        ("POST", "/api/token", "", (200, None)),
        ("POST", "/api/token", "bad", (401, "unauthenticated")),
        ("POST", "/api/signed-in", "", (401, "unauthenticated")),
        ("POST", "/api/signed-in", "bad", (401, "unauthenticated")),
        ("POST", "/api/signed-in", "buyer", (200, "a-1")),
        ("GET", "/api/admins", "", (401, "unauthenticated")),
        ("GET", "/api/admins", "buyer", (403, "forbidden")),
        ("GET", "/api/admins", "admin", (200, "a-2")),
        ("POST", "/internal/work", "admin", (401, "unauthenticated")),
        ("POST", "/api/both", "admin", (200, "a-2")),
        ("POST", "/api/both", "buyer", (403, "forbidden")),
        ("POST", "/api/both", "", (401, "unauthenticated")),
        ("POST", "/api/money", "fresh", (200, "a-2")),
        ("POST", "/api/money", "stale", (403, "reauthentication_required")),
        ("POST", "/api/money", "admin", (403, "reauthentication_required")),
        ("POST", "/api/money", "buyer", (403, "forbidden")),
    ],
)
def test_a_route_lets_in_whom_it_is_for(
    client: FlaskClient, method: str, path: str, token: str, answer: tuple[int, object]
) -> None:
    assert _call(client, method, path, token) == answer


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/anybody", 200),
        ("GET", "/api/where", 200),
        ("POST", "/api/perhaps", 401),
        ("POST", "/api/token", 200),
        ("POST", "/api/signed-in", 401),
        ("GET", "/api/admins", 401),
    ],
)
@pytest.mark.parametrize("token", ["garbage", SERVICE_TOKEN, f"{'0' * 36}.{'A' * 43}"])
def test_who_shows_a_token_that_nobody_reads_is_no_guest(
    client: FlaskClient, gate: Recorder, method: str, path: str, status: int, token: str
) -> None:
    assert _call(client, method, path, Authorization=f"Bearer {token}")[0] == status
    assert len(gate.asked) == 1, "it is counted"


def test_a_handler_is_told_where_from_without_who(client: FlaskClient) -> None:
    assert client.get("/api/where").get_json()["address"] == "127.0.0.1"


def test_the_service_token_opens_internal_routes_and_names_no_account(client: FlaskClient) -> None:
    assert _call(client, "POST", "/internal/work", "admin", Authorization=f"Bearer {SERVICE_TOKEN}") == (200, None)


def test_the_service_token_opens_what_is_for_admins_and_services_and_no_other_token_does(
    client: FlaskClient, gate: Recorder
) -> None:
    gate.closed = True
    assert _call(client, "POST", "/api/both", Authorization=f"Bearer {SERVICE_TOKEN}") == (200, None)
    assert not gate.asked
    gate.closed = False
    assert _call(client, "POST", "/api/both", Authorization="Bearer guessed")[0] == 401
    assert _call(client, "POST", "/api/money", Authorization=f"Bearer {SERVICE_TOKEN}")[0] == 401


@pytest.mark.parametrize("path", ["/api/perhaps", "/api/token", "/api/signed-in"])
def test_a_change_by_cookie_needs_the_value_that_other_pages_cannot_send(client: FlaskClient, path: str) -> None:
    assert _call(client, "POST", path, "page") == (403, "csrf_failed")
    assert _call(client, "POST", path, "page", **{"X-CSRF-Token": "guessed"}) == (403, "csrf_failed")
    assert _call(client, "POST", path, "page", **{"X-CSRF-Token": CSRF}) == (200, "a-1")


def test_the_gate_is_asked_once_about_every_request_with_the_account_that_sends_it(
    client: FlaskClient, gate: Recorder
) -> None:
    _call(client, "POST", "/api/perhaps", "buyer")
    _call(client, "GET", "/api/admins", "")
    _call(client, "POST", "/internal/work")
    assert [(q.route, q.method, q.rate_class, q.account_id) for q in gate.asked] == [
        ("/api/perhaps", "POST", "write", "a-1"),
        ("/api/admins", "GET", "gate", None),
        ("/internal/work", "POST", "internal", None),
    ]


def test_the_gate_is_asked_before_a_bad_token_is_refused(client: FlaskClient, gate: Recorder) -> None:
    _call(client, "POST", "/api/signed-in", "bad")
    assert len(gate.asked) == 1


def test_the_service_token_opens_whatever_others_did_from_the_same_address(client: FlaskClient, gate: Recorder) -> None:
    gate.closed = True
    assert _call(client, "POST", "/internal/work", Authorization=f"Bearer {SERVICE_TOKEN}") == (200, None)
    assert not gate.asked
    assert not gate.told
    assert _call(client, "POST", "/internal/work", Authorization="Bearer guessed") == (403, "blocked")
    assert len(gate.asked) == 1


def test_health_does_not_ask_the_gate(client: FlaskClient, gate: Recorder) -> None:
    gate.closed = True
    assert client.get("/health/live").status_code == 200
    assert not gate.asked


def test_what_the_gate_refuses_reaches_no_handler(client: FlaskClient, gate: Recorder) -> None:
    gate.closed = True
    assert _call(client, "POST", "/api/signed-in", "buyer") == (403, "blocked")


def test_the_gates_headers_are_in_every_answer_after_it(client: FlaskClient) -> None:
    for token in ("buyer", ""):
        response = client.post("/api/signed-in", headers={"X-Test-Token": token})
        assert response.headers["RateLimit"] == '"read";r=9;t=1'


def test_paths_that_lead_nowhere_are_asked_about_too(client: FlaskClient, gate: Recorder) -> None:
    assert client.get("/wp-login.php").status_code == 404
    assert client.delete("/api/anybody").status_code == 405
    assert [(q.route, q.method, q.rate_class) for q in gate.asked] == [
        ("(none)", "GET", "nowhere"),
        ("(none)", "DELETE", "nowhere"),
    ]
    gate.closed = True
    assert client.get("/wp-login.php").status_code == 403


def test_the_gate_is_told_how_failed_requests_ended_that_it_let_through(client: FlaskClient, gate: Recorder) -> None:
    _call(client, "POST", "/api/signed-in", "buyer")
    _call(client, "POST", "/api/signed-in", "bad")
    client.get("/nowhere")
    gate.closed = True
    _call(client, "POST", "/api/signed-in", "bad")
    assert gate.told == [("/api/signed-in", 401), ("(none)", 404)]


def test_each_access_is_documented() -> None:
    paths = create_http_app("doors", "For tests.", example_settings(), routes=[routes]).openapi()["paths"]
    both: list[dict[str, list[str]]] = [{"accessToken": []}, {"accessCookie": []}]
    assert "security" not in paths["/api/anybody"]["get"]
    assert "security" not in paths["/api/where"]["get"]
    assert "401" not in paths["/api/where"]["get"]["responses"]
    assert paths["/api/perhaps"]["post"]["security"] == [*both, {}]
    assert paths["/api/signed-in"]["post"]["security"] == both
    assert set(paths["/api/signed-in"]["post"]["responses"]) >= {"401", "403", "429"}
    assert (
        "forbidden"
        in paths["/api/admins"]["get"]["responses"]["403"]["content"]["application/problem+json"]["examples"]
    )
