"""The gate of a service, on a real Valkey and with production's rates unless a test says otherwise."""

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import altcha
import orjson
import pytest
import redis
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from matchday.servers import Valkey
from security.engine import lists
from security.engine.gate import RedisGate
from security.engine.lists import Entry, Kind
from security.engine.settings import GateSettings
from security.engine.store import STREAM
from security.engine.watch import LISTS, VERSION
from shared.errors import NotFound, Unauthenticated
from shared.http import Account, Answer, HttpApp, Routes, create_http_app
from shared.http.callers import Environ
from shared.settings import load
from tests.eventually import eventually

BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux)", "Accept": "*/*", "Accept-Language": "en"}
CHEAP = {"CHALLENGE_COST": "1", "CHALLENGE_TRIES": "20"}
routes = Routes("things", "For tests of the gate.")


@routes.get("/api/things", answer=Answer("Things"))
def read() -> None:
    """Read."""


@routes.post("/api/things", limit="hold", answer=Answer("Things"))
def hold() -> None:
    """Hold."""


@routes.get("/api/challenge", limit="challenge", answer=Answer("A challenge"))
def get_challenge() -> None:
    """Get a challenge."""


@routes.post("/api/signin", limit="sign_in", answer=Answer("Things"), raises=[Unauthenticated])
def sign_in() -> None:
    """Try a password."""
    raise Unauthenticated("wrong")


@routes.get("/api/missing", answer=Answer("Things"), raises=[NotFound])
def missing() -> None:
    """Is not there."""
    raise NotFound


@routes.post("/internal/things", answer=Answer("Things"))
def internal() -> None:
    """For our own services."""


class Names:
    """The account is what a header says."""

    def account(self, environ: Environ) -> Account | None:
        name = environ.get("HTTP_X_TEST_ACCOUNT")
        verified = "HTTP_X_TEST_CLAIM" not in environ
        return None if name is None else Account(name, "a@example.org", verified, frozenset(), "s")


@dataclass
class Served:
    """A service with its gate."""

    gate: RedisGate
    app: HttpApp
    client: FlaskClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.app.test_client(use_cookies=False)

    def ask(self, method: str, path: str, address: str = "192.0.2.1", **headers: str) -> TestResponse:
        return self.client.open(
            path, method=method, headers={**BROWSER, **headers}, environ_overrides={"REMOTE_ADDR": address}
        )

    def codes(self, count: int, method: str, path: str, address: str = "192.0.2.1", **headers: str) -> list[str]:
        return [code_of(self.ask(method, path, address, **headers)) for _ in range(count)]

    def solve(self, address: str = "192.0.2.1", made: dict[str, Any] | None = None) -> str:
        challenge = altcha.Challenge.from_dict(made or self.gate.challenges.make(address, time.time()))
        solution = altcha.solve_challenge(challenge)
        assert solution is not None
        return str(altcha.Payload(challenge, solution).to_base64())


def code_of(response: TestResponse) -> str:
    content = response.get_json(silent=True)
    return str(content["code"]) if content else str(response.status_code)


Make = Callable[..., Served]


@pytest.fixture
def serve(redis_url: str) -> Iterator[Make]:
    made: list[RedisGate] = []

    def make(**given: str) -> Served:
        values = {
            "PORT": "1", "SERVICE_TOKEN": "a-token-for-these-tests", "REDIS_URL": redis_url, "RATE_SCALE": "1",
            "REDIS_SECONDS_MAX": "2", **CHEAP, **given,
        }  # fmt: skip
        settings = load(GateSettings, values)
        gate = RedisGate("things", settings).start()
        made.append(gate)
        return Served(gate, create_http_app("things", "", settings, routes=[routes], accounts=Names(), gate=gate))

    yield make
    for gate in made:
        gate.close()


def write_lists(redis_url: str, *entries: Entry) -> None:
    with redis.Redis.from_url(redis_url) as connection:
        connection.mset({LISTS: lists.encode(entries), VERSION: str(time.time_ns())})


def decisions(redis_url: str) -> list[tuple[int, list[Any]]]:
    with redis.Redis.from_url(redis_url) as connection:
        return [(int(entry[b"c"]), orjson.loads(entry[b"d"])) for _, entry in connection.xrange(STREAM)]


def test_who_sends_little_is_let_in_and_told_what_is_left(serve: Make) -> None:
    response = serve().ask("GET", "/api/things")
    assert response.status_code == 200
    assert response.headers["RateLimit-Policy"] == '"read";q=500;w=10'
    assert response.headers["RateLimit"] == '"read";r=499;t=1'


def test_guests_at_an_address_are_challenged_before_anybody_is_refused(serve: Make) -> None:
    served = serve(RATE_HOLD="account 10/m 2, guest 1/m 3, address 1/h 5")
    assert served.codes(4, "POST", "/api/things") == ["200"] * 3 + ["challenge_required"]
    response = served.ask("POST", "/api/things")
    assert (response.status_code, response.get_json()["challenge"]) == (403, "/api/security/challenge")
    assert response.headers["RateLimit"].startswith('"hold";r=0;t=')
    assert served.codes(1, "POST", "/api/things", address="192.0.2.2") == ["200"], "others are not concerned"
    assert served.codes(1, "GET", "/api/things") == ["200"], "nor other classes"


def test_an_account_has_its_own_narrow_measure_and_does_not_pay_for_others(serve: Make) -> None:
    served = serve(RATE_HOLD="account 1/m 2, guest 1/m 1, address 1/s 50")
    assert served.codes(2, "POST", "/api/things") == ["200", "challenge_required"]
    assert served.codes(3, "POST", "/api/things", **{"X-Test-Account": "ada"}) == ["200", "200", "rate_limited"]
    assert served.codes(1, "POST", "/api/things", **{"X-Test-Account": "bob"}) == ["200"]
    assert served.codes(1, "POST", "/api/things", address="198.51.100.7", **{"X-Test-Account": "ada"}) == [
        "rate_limited"
    ], "another address does not help"


def test_an_account_that_has_not_verified_its_address_holds_as_a_guest(serve: Make) -> None:
    served = serve(RATE_HOLD="account 1/m 4, guest 1/m 1, address 1/s 50")
    claims = [{"X-Test-Account": name, "X-Test-Claim": "1"} for name in ("eve", "mallory", "trudy")]
    codes = [served.codes(1, "POST", "/api/things", **claim)[0] for claim in claims]
    assert codes == ["200", "challenge_required", "challenge_required"]
    assert served.codes(1, "GET", "/api/things", **claims[1]) == ["200"], "to read, an account is one"
    solved = {"X-Challenge-Solution": served.solve(), **claims[1]}
    assert served.codes(1, "POST", "/api/things", **solved) == ["200"]
    assert served.codes(1, "POST", "/api/things", **{"X-Test-Account": "ada"}) == ["200"]


def test_an_address_has_a_wide_measure_that_holds_for_all(serve: Make) -> None:
    served = serve(RATE_HOLD="account 1/m 2, guest 1/m 1, address 1/h 4")
    names = [{"X-Test-Account": f"account-{number}"} for number in range(6)]
    assert [code for name in names for code in served.codes(1, "POST", "/api/things", **name)] == [
        "200", "200", "200", "200", "rate_limited", "rate_limited",
    ]  # fmt: skip
    response = served.ask("POST", "/api/things", **names[0])
    assert 3000 < int(response.headers["Retry-After"]) <= 3600


def test_addresses_of_one_ipv6_network_count_together_and_mapped_ones_as_what_they_are(serve: Make) -> None:
    served = serve(RATE_HOLD="guest 1/m 1, address 1/s 50")
    assert served.codes(1, "POST", "/api/things", address="2001:db8:1:2::1") == ["200"]
    assert served.codes(1, "POST", "/api/things", address="2001:db8:1:2:ffff::9") == ["challenge_required"]
    assert served.codes(1, "POST", "/api/things", address="2001:db8:1:3::1") == ["200"]
    assert served.codes(1, "POST", "/api/things", address="192.0.2.1") == ["200"]
    assert served.codes(1, "POST", "/api/things", address="::ffff:192.0.2.1") == ["challenge_required"]


def test_a_solution_lets_in_once_and_its_pass_for_a_while_by_a_measure_of_its_own(serve: Make) -> None:
    served = serve(RATE_HOLD="account 1/m 3, guest 1/m 1, address 1/s 50")
    served.codes(2, "POST", "/api/things")
    solution = served.solve()
    first = served.ask("POST", "/api/things", **{"X-Challenge-Solution": solution})
    assert first.status_code == 200
    assert code_of(served.ask("POST", "/api/things", **{"X-Challenge-Solution": solution})) == "challenge_required"
    shown = {"X-Challenge-Pass": first.headers["X-Challenge-Pass"]}
    assert served.codes(3, "POST", "/api/things", **shown) == ["200", "200", "rate_limited"]


def test_a_pass_travels_in_a_cookie_that_scripts_cannot_read(serve: Make) -> None:
    served = serve(RATE_HOLD="account 1/m 3, guest 1/m 1, address 1/s 50")
    served.codes(2, "POST", "/api/things")
    first = served.ask("POST", "/api/things", **{"X-Challenge-Solution": served.solve()})
    cookie = first.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    name, value = cookie.partition(";")[0].split("=")
    assert served.codes(1, "POST", "/api/things", Cookie=f"other=1; {name}={value}") == ["200"]


@pytest.mark.parametrize("what", ["another address", "changed", "not ours", "nonsense", "huge", "over"])
def test_a_solution_or_pass_that_is_not_for_this_caller_helps_nothing(serve: Make, what: str) -> None:
    served = serve(RATE_HOLD="account 1/m 3, guest 1/m 1, address 1/s 50")
    other = serve(SERVICE_TOKEN="another-site-has-another-token")
    served.codes(2, "POST", "/api/things")
    holder = "192.0.2.99" if what == "another address" else "192.0.2.1"
    made = (other if what == "not ours" else served).gate.challenges
    moment = time.time() - (7200 if what == "over" else 0)
    solution = served.solve(made=made.make(holder, moment))
    solved = made.check(served.solve(made=made.make(holder, time.time())), holder, time.time())
    assert solved is not None
    shown = made.give_pass(solved, holder, moment)
    if what == "changed":
        solution, shown = solution[:-8] + "AAAAAAA=", shown[:-1] + ("0" if shown[-1] != "0" else "1")
    elif what in ("nonsense", "huge"):
        solution = shown = "x.1.é" if what == "nonsense" else "A" * 10_000
    for headers in ({"X-Challenge-Solution": solution}, {"X-Challenge-Pass": shown}):
        sent = {name: value.encode("utf-8").decode("latin-1") for name, value in headers.items()}
        assert served.codes(1, "POST", "/api/things", **sent) == ["challenge_required"]


def test_wrong_passwords_bring_the_challenge_for_their_address_alone(serve: Make) -> None:
    served = serve(FAILURES_MARK="3", RATE_SIGN_IN="account 100/s 100, guest 100/s 100, address 100/s 100")
    assert served.codes(5, "POST", "/api/signin") == ["unauthenticated"] * 4 + ["challenge_required"]
    assert served.codes(1, "POST", "/api/signin", address="192.0.2.2") == ["unauthenticated"]
    assert served.codes(1, "GET", "/api/things") == ["200"]


def test_each_solved_challenge_buys_only_so_many_further_guesses(serve: Make) -> None:
    served = serve(FAILURES_MARK="3", RATE_SIGN_IN="account 100/s 100, guest 100/s 100, address 100/s 100")
    served.codes(5, "POST", "/api/signin")
    first = served.ask("POST", "/api/signin", **{"X-Challenge-Solution": served.solve()})
    shown = {"X-Challenge-Pass": first.headers["X-Challenge-Pass"]}
    assert code_of(first) == "unauthenticated"
    assert served.codes(4, "POST", "/api/signin", **shown) == ["unauthenticated"] * 3 + ["blocked"]
    assert int(served.ask("POST", "/api/signin", **shown).headers["Retry-After"]) <= 300


def test_what_is_looked_for_by_guessing_paths_is_a_trap(serve: Make) -> None:
    served = serve()
    assert served.codes(1, "GET", "/wp-login.php") == ["not_found"]
    assert served.codes(1, "GET", "/api/things") == ["challenge_required"]
    shown = {"X-Challenge-Solution": served.solve()}
    assert served.codes(1, "GET", "/api/things", **shown) == ["200"]
    assert served.codes(1, "GET", "/nowhere", address="192.0.2.2") == ["not_found"]
    assert served.codes(1, "GET", "/api/things", address="192.0.2.2") == ["200"], "a typing error is no trap"


def test_guessing_paths_is_limited(serve: Make) -> None:
    served = serve(RATE_NOWHERE="guest 1/m 2, address 1/m 50")
    assert served.codes(3, "GET", "/api/nothing") == ["not_found", "not_found", "challenge_required"]


def test_scanners_that_say_so_are_turned_away_and_programs_pay_more(serve: Make) -> None:
    served = serve(RATE_HOLD="guest 1/m 4, address 1/s 50")
    assert served.codes(1, "GET", "/api/things", **{"User-Agent": "sqlmap/1.8"}) == ["blocked"]
    curl = {"User-Agent": "curl/8.5"}
    assert served.codes(3, "POST", "/api/things", address="192.0.2.3", **curl) == ["200", "200", "challenge_required"]


def test_lists_count_within_a_second_without_a_restart_and_end_on_time(serve: Make, redis_url: str) -> None:
    served = serve()
    assert served.codes(1, "GET", "/api/things") == ["200"]
    write_lists(redis_url, Entry("e-1", Kind.BLOCK, "192.0.2.0/28", None, time.time() + 4.0))
    eventually(lambda: served.codes(1, "GET", "/api/things") == ["blocked"], seconds=4)
    assert served.codes(1, "GET", "/api/things", address="192.0.2.16") == ["200"]
    eventually(lambda: served.codes(1, "GET", "/api/things") == ["200"])


def test_an_allowed_network_is_not_limited_and_a_blocked_account_finds_no_way(serve: Make, redis_url: str) -> None:
    write_lists(
        redis_url,
        Entry("e-1", Kind.ALLOW, "192.0.2.0/24", None, None),
        Entry("e-2", Kind.BLOCK, "192.0.2.1/32", None, None),
        Entry("e-3", Kind.BLOCK, None, "mallory", None),
        Entry("e-4", Kind.CHALLENGE, "2001:db8::/32", None, None),
    )
    served = serve(RATE_HOLD="account 1/m 1, guest 1/m 1, address 1/m 1")
    assert served.codes(5, "POST", "/api/things") == ["200"] * 5
    assert served.codes(1, "POST", "/api/things", **{"X-Test-Account": "mallory"}) == ["blocked"]
    assert served.codes(2, "POST", "/api/things", **{"X-Test-Account": "ada"}) == ["200", "rate_limited"]
    assert served.codes(1, "GET", "/api/things", address="2001:db8::1") == ["challenge_required"]
    solution = served.solve("2001:db8::/64")
    shown = {"X-Challenge-Solution": solution}
    assert served.codes(2, "GET", "/api/things", address="2001:db8::1", **shown) == ["200", "challenge_required"]


def test_who_is_on_the_list_to_be_challenged_can_get_a_challenge(serve: Make, redis_url: str) -> None:
    write_lists(redis_url, Entry("e-1", Kind.CHALLENGE, "192.0.2.0/24", None, None))
    served = serve()
    assert served.codes(1, "GET", "/api/things") == ["challenge_required"]
    assert served.codes(1, "GET", "/api/challenge") == ["200"]


def test_refusals_are_explained_in_the_audit_log_and_so_is_what_changes_something(serve: Make, redis_url: str) -> None:
    served = serve(RATE_HOLD="guest 1/m 1, address 1/m 9")
    served.codes(2, "POST", "/api/things", **{"X-Request-Id": "r-1"})
    served.codes(3, "GET", "/api/things")
    expected: list[Any] = ["things", "hold", "POST", "/api/things", "192.0.2.1", "192.0.2.1", None, None, [], "r-1"]
    assert decisions(redis_url) == [(0, expected), (3, expected)]


def test_services_without_the_service_token_are_found_out_and_banned(serve: Make) -> None:
    served = serve(FAILURES_MARK="2", FAILURES_BAN="4")
    assert served.codes(6, "POST", "/internal/things") == ["unauthenticated"] * 5 + ["blocked"]


def test_in_development_nobody_is_limited_by_what_tests_and_benchmarks_send(serve: Make) -> None:
    served = serve(RATE_SCALE="0")
    assert set(served.codes(300, "POST", "/api/things")) == {"200"}


def test_without_redis_each_process_goes_on_by_itself_and_what_must_not_is_refused(
    serve: Make, redis_url: str, valkey: Valkey
) -> None:
    served = serve(RATE_HOLD="guest 1/m 2, address 1/m 9")
    valkey.kill()
    try:
        assert served.codes(3, "POST", "/api/things") == ["200", "200", "challenge_required"]
        response = served.ask("POST", "/api/signin")
        assert (code_of(response), response.headers["Retry-After"]) == ("dependency_unavailable", "1")
        assert served.codes(1, "GET", "/api/things") == ["200"]
    finally:
        valkey.start()
    eventually(lambda: served.codes(1, "POST", "/api/signin") == ["unauthenticated"])


def test_a_redis_that_hangs_costs_one_wait_and_not_one_for_each_request(serve: Make, valkey: Valkey) -> None:
    served = serve(REDIS_SECONDS_MAX="1")
    served.codes(1, "GET", "/api/things")
    assert valkey.process is not None
    valkey.process.send_signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        assert served.codes(100, "GET", "/api/things") == ["200"] * 100
        # A hundred waits would be a hundred seconds.
        assert time.monotonic() - begun < 20
    finally:
        valkey.process.send_signal(signal.SIGCONT)
    eventually(lambda: served.codes(1, "POST", "/api/signin") == ["unauthenticated"], seconds=10)


def test_lists_stay_good_while_redis_is_away(serve: Make, redis_url: str, valkey: Valkey) -> None:
    write_lists(redis_url, Entry("e-1", Kind.BLOCK, "192.0.2.1/32", None, None))
    served = serve()
    valkey.kill()
    try:
        assert served.codes(2, "GET", "/api/things") == ["blocked", "blocked"]
        eventually(lambda: served.gate._watch.alone)
        assert served.codes(1, "GET", "/api/things") == ["blocked"]
    finally:
        valkey.start()


def test_header_injection_and_strange_addresses_do_no_harm(serve: Make, redis_url: str) -> None:
    served = serve(RATE_HOLD="guest 1/m 50, address 1/m 50")
    nasty = {"User-Agent": "x\" '; DROP TABLE audit; -- ${jndi:ldap://x}", "X-Request-Id": "a b"}
    for address in ("", "unix:", "not an address", "fe80::1%eth0", "999.1.1.1"):
        assert served.codes(1, "POST", "/api/things", address=address, **nasty) == ["200"]
    keys = [entry[5] for _, entry in decisions(redis_url)]
    assert keys == ["unknown", "unknown", "unknown", "fe80::/64", "unknown"]
