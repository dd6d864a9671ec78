"""Parts of the security engine without sockets: addresses, lists, what headers tell, rates, challenges, the fold."""

import json
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

import altcha
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from security.domain import Record, fold
from security.engine import agents, lists
from security.engine.addresses import address_of
from security.engine.challenge import Challenges
from security.engine.lists import Entry, Kind, Lists
from security.engine.rates import Rate, parse
from security.engine.settings import GateSettings
from shared.settings import load

NOW = 1_700_000_000.0
SECRET = SecretStr("a-secret-of-this-site")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("unix:", "unknown"),
        ("192.0.2.1:80", "unknown"),
        ("0300.0.2.1", "unknown"),
    ],
)
def test_an_address_is_counted_under_one_name_however_it_is_written(text: str, key: str) -> None:
    assert address_of(text).key == key


networks = st.one_of(
    st.builds(lambda n, p: ip_network((n, p), strict=False), st.integers(0, 2**32 - 1), st.integers(0, 32)),
    st.builds(lambda n, p: ip_network((n, p), strict=False), st.integers(2**64, 2**128 - 1), st.integers(0, 128)),
)


@given(st.lists(networks, max_size=20), st.data())
def test_the_lists_find_what_comparing_with_each_network_finds(listed: list[Any], data: st.DataObject) -> None:
    inside = [network[0] for network in listed] + [network[-1] for network in listed]
    some = st.one_of(st.ip_addresses(), *([st.sampled_from(inside)] if inside else []))
    address = data.draw(some)
    entries = [Entry(str(n), Kind.BLOCK, str(network), None, None) for n, network in enumerate(listed)]
    mapped = getattr(address, "ipv4_mapped", None)
    expected = any((mapped or address) in network for network in listed)
    assert (Lists(entries).of_address(address_of(str(address)), NOW) is not None) == expected


def test_who_is_allowed_and_blocked_is_allowed_and_what_is_over_counts_no_more() -> None:
    address = address_of("192.0.2.1")
    entries = [
        Entry("1", Kind.BLOCK, "192.0.2.0/24", None, None),
        Entry("2", Kind.CHALLENGE, "192.0.0.0/16", None, None),
        Entry("3", Kind.ALLOW, "192.0.2.1/32", None, NOW),
    ]

    def kind(now: float) -> Kind:
        found = Lists(entries).of_address(address, now)
        assert found is not None
        return found.kind

    assert (kind(NOW - 1), kind(NOW), kind(NOW + 1)) == (Kind.ALLOW, Kind.BLOCK, Kind.BLOCK)


def test_lists_are_the_same_after_their_way_through_redis() -> None:
    entries = [
        Entry("1", Kind.BLOCK, "2001:db8::/32", None, NOW + 0.25),
        Entry("2", Kind.CHALLENGE, None, "a-1", None),
    ]
    read = lists.decode(lists.encode(entries))
    assert read.of_address(address_of("2001:db8::1"), NOW) == entries[0]
    assert read.of_account("a-1", NOW) == entries[1]
    assert read.of_account("a-2", NOW) is None


def test_an_address_that_is_none_is_on_no_list() -> None:
    assert Lists([Entry("1", Kind.BLOCK, "0.0.0.0/8", None, None)]).of_address(address_of("x"), NOW) is None


FULL = {"HTTP_USER_AGENT": "Mozilla/5.0 (X11)", "HTTP_ACCEPT": "*/*", "HTTP_ACCEPT_LANGUAGE": "en"}


@pytest.mark.parametrize(
    ("changed", "cost", "signals"),
    [
        ({}, 1, ()),
        ({"HTTP_USER_AGENT": None}, 2, ("no_user_agent",)),
        ({"HTTP_USER_AGENT": "python-httpx/0.28"}, 2, ("program",)),
        ({"HTTP_ACCEPT_LANGUAGE": None}, 2, ("browser_without_language",)),
        ({"HTTP_USER_AGENT": "curl/8", "HTTP_ACCEPT": None}, 3, ("program", "no_accept")),
    ],
)
def test_headers_that_browsers_do_not_send_cost_more(
    changed: dict[str, str | None], cost: int, signals: tuple[str, ...]
) -> None:
    environ = {name: value for name, value in {**FULL, **changed}.items() if value is not None}
    seen = agents.look(environ)
    assert (seen.cost, seen.signals, seen.scanner) == (cost, signals, False)


@pytest.mark.parametrize("agent", ["sqlmap/1.8#stable", "Mozilla/5.0 zgrab/0.x", "NIKTO", "x" * 400 + "nuclei"])
def test_scanners_are_known_by_their_names(agent: str) -> None:
    assert agents.look({"HTTP_USER_AGENT": agent}).scanner


@pytest.mark.parametrize("path", ["/.env", "/wp-login.php", "/.git/config", "/cgi-bin/x", "/a/../etc/passwd", "/x.bak"])
def test_what_only_a_search_for_holes_asks_for_is_a_trap(path: str) -> None:
    assert agents.is_trap(path)


@pytest.mark.parametrize(
    "path", ["/", "/api/matchs", "/api/matches/12/", "/favicon.ico", "/robots.txt", "/environment"]
)
def test_what_people_ask_for_by_mistake_is_none(path: str) -> None:
    assert not agents.is_trap(path)


def test_rates_are_written_as_people_say_them() -> None:
    rates = parse("account 20/s 100, guest 10/m 5, address 1/h 3")
    assert (rates.account, rates.guest, rates.address) == (
        Rate(50_000, 100),
        Rate(6_000_000, 5),
        Rate(3_600_000_000, 3),
    )
    assert parse("address 1/s 1").account is None
    assert parse("address 10/m 5").address == Rate(6_000_000, 5)
    assert Rate(6_000_000, 5).window_seconds == 30


@pytest.mark.parametrize(
    "text",
    ["", "20/s 100", "account 0/s 1", "account 1/s 0", "account 1/d 1", "account 1/s 1, account 2/s 2", "who 1/s 1"],
)
def test_rates_that_cannot_be_meant_stop_the_process(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = {"PORT": "1", "SERVICE_TOKEN": "x" * 16, "REDIS_URL": "redis://x/0", "RATE_HOLD": text or ","}
    with pytest.raises(SystemExit):
        load(GateSettings, given)
    assert "RATE_HOLD is wrong" in capsys.readouterr().err


@pytest.mark.parametrize(("environment", "holds"), [("prod", 500), ("dev", 500_000)])
def test_development_bears_a_thousand_times_as_much_as_production(environment: str, holds: int) -> None:
    given = {"PORT": "1", "SERVICE_TOKEN": "x" * 16, "REDIS_URL": "redis://x/0", "ENVIRONMENT": environment}
    address = load(GateSettings, given).rates()["hold"].address
    assert address is not None
    assert address.capacity == holds


def challenges(**changed: int) -> Challenges:
    values = {"cost": 1, "tries": 50, "seconds": 300, "pass_seconds": 600, **changed}
    return Challenges(SECRET, **values)


def solved(made: dict[str, Any]) -> dict[str, Any]:
    challenge = altcha.Challenge.from_dict(made)
    solution = altcha.solve_challenge(challenge)
    assert solution is not None
    return dict(altcha.Payload(challenge, solution).to_dict())


def packed(payload: Any) -> str:
    return b64encode(json.dumps(payload).encode()).decode()


@pytest.fixture
def now() -> float:
    return datetime.now(UTC).timestamp()


def test_a_solved_challenge_is_known_by_its_nonce(now: float) -> None:
    made = challenges().make("192.0.2.1", now)
    found = challenges().check(packed(solved(made)), "192.0.2.1", now)
    assert found is not None
    assert found.id == made["parameters"]["nonce"]


def test_a_challenge_does_not_tell_whose_it_is(now: float) -> None:
    assert "192.0.2.1" not in json.dumps(challenges().make("192.0.2.1", now))


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("challenge", "parameters", "cost"), 0),
        (("challenge", "parameters", "keyPrefix"), ""),
        (("challenge", "parameters", "data"), {}),
        (("challenge", "parameters", "expiresAt"), 9_999_999_999),
        (("challenge", "parameters", "nonce"), "00" * 16),
        (("challenge", "parameters", "algorithm"), "SHA-256"),
        (("challenge", "parameters"), None),
        (("challenge", "signature"), None),
        (("challenge", "signature"), "00" * 32),
        (("solution", "derivedKey"), "00" * 32),
        (("solution", "derivedKey"), 7),
        (("solution",), []),
        (("challenge",), "x"),
    ],
)
def test_what_was_changed_on_the_way_solves_nothing(where: tuple[str, ...], value: Any, now: float) -> None:
    payload = solved(challenges().make("192.0.2.1", now))
    inner = payload
    for name in where[:-1]:
        inner = inner[name]
    inner[where[-1]] = value
    assert challenges().check(packed(payload), "192.0.2.1", now) is None


@pytest.mark.parametrize("text", ["", "x", "e30=", "bnVsbA==", "W10=", "[" * 5000, "A" * 5000, packed([[[]]])])
def test_nonsense_solves_nothing(text: str, now: float) -> None:
    assert challenges().check(text, "192.0.2.1", now) is None


def test_a_pass_ends_and_is_its_bearers_alone(now: float) -> None:
    made = challenges()
    found = made.check(packed(solved(made.make("h", now))), "h", now)
    assert found is not None
    text = made.give_pass(found, "h", now)
    assert made.read_pass(text, "h", now + 599) == found.id
    assert made.read_pass(text, "h", now + 601) is None
    assert made.read_pass(text, "other", now) is None
    name, until, signature = text.split(".")
    assert made.read_pass(f"{name}.{int(until) + 1}.{signature}", "h", now) is None
    assert made.read_pass(f"{name}x.{until}.{signature}", "h", now) is None


MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
REFUSED = Record(
    MOMENT, MOMENT, 1, "block", "rate_limited", "shop", "read", "GET", "/api/matches", "192.0.2.1", "192.0.2.1",
    None, None, (), "r-1",
)  # fmt: skip


@given(
    st.lists(st.tuples(st.sampled_from(["192.0.2.1", "192.0.2.2"]), st.sampled_from(["block", "allow"])), max_size=30)
)
def test_alike_decisions_become_one_and_none_is_lost(made: list[tuple[str, str]]) -> None:
    records = [
        replace(REFUSED, at=MOMENT + timedelta(seconds=n), address=address, verdict=verdict)
        for n, (address, verdict) in enumerate(made)
    ]
    folded = fold(records)
    assert sum(record.count for record in folded) == len(made)
    assert len(folded) == len(set(made))
    for record in folded:
        alike = [r.at for r in records if (r.address, r.verdict) == (record.address, record.verdict)]
        assert record.at == max(alike)


def test_addresses_of_one_network_are_compared_as_numbers() -> None:
    assert address_of("10.0.0.1").number == int(ip_address("10.0.0.1"))
