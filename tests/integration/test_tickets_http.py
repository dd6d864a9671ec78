"""Tickets and the gate over HTTP, on a real PostgreSQL: whose they are, and that each admits once."""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import jwt
import pytest

from matchday.servers import Postgres
from tests.counter import Service, is_problem, open_replica, open_service
from tests.jwks import serve_keys
from tests.resources import Databases
from tests.tickets import page_texts, scan_pages, scan_picture
from tests.tokens import Signer

ROUNDS = 10
NOBODYS = "00000000-0000-4000-8000-000000000000"
SIGNER = Signer()


@pytest.fixture(scope="module")
def opened(_postgres: Postgres, _template: str) -> Iterator[list[Service]]:
    """Two processes of one service, as it were."""
    databases = Databases(_postgres, _template)
    with (
        serve_keys(SIGNER) as users,
        open_service(databases.create(), USERS_URL=users) as service,
        open_replica(service) as replica,
    ):
        yield [service, replica]
    databases.drop_all()


@pytest.fixture
def services(opened: list[Service]) -> list[Service]:
    opened[0].clear()
    return opened


@pytest.fixture
def service(services: list[Service]) -> Service:
    return services[0]


def account(*roles: str, account_id: str | None = None, email: str = "ada@example.org") -> str:
    """The access token of an account."""
    return SIGNER.sign({**SIGNER.claims(*roles, account_id=account_id), "email": email})


GATE = account("gate")


def tickets_of(service: Service, token: str) -> list[dict[str, Any]]:
    answer = service.call("GET", "/api/tickets", token=token)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.get_json()["items"]
    return items


def code_of(service: Service, **options: Any) -> str:
    """The code of a ticket that was just sold."""
    return str(tickets_of(service, service.sold(**options)["accessToken"])[0]["code"])


def verify(service: Service, code: str, token: str | None = GATE, key: str | None = None, **more: Any) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return service.call("POST", "/api/tickets/verify", token=token, json={"code": code, **more}, headers=headers)


# -- issuing ---------------------------------------------------------------------------------------------------------


def test_a_sale_issues_a_ticket_a_person_and_confirming_again_issues_no_more(service: Service) -> None:
    made = service.sold(12, 3, 2)
    before = service.facts()
    again = service.call("POST", f"/internal/reservations/{made['id']}/confirm", token=service.service_token)
    assert again.get_json()["status"] == "reserved"
    assert service.facts() == before
    tickets = tickets_of(service, made["accessToken"])
    assert [ticket["number"] for ticket in tickets] == [1, 2]
    assert {(t["reservationId"], t["matchNumber"], t["category"], t["status"]) for t in tickets} == {
        (made["id"], 12, 3, "valid")
    }
    assert len({ticket["id"] for ticket in tickets}) == len({ticket["code"] for ticket in tickets}) == 2


def test_what_is_held_or_given_back_has_no_tickets(service: Service) -> None:
    made = service.buy().get_json()
    service.judge(made["id"])
    assert tickets_of(service, made["accessToken"]) == []
    service.call("DELETE", f"/api/reservations/{made['id']}", token=made["accessToken"])
    assert tickets_of(service, made["accessToken"]) == []


def test_a_sale_that_cannot_be_made_issues_no_ticket(service: Service) -> None:
    """Ticket and sale are one transaction: without the one there is none of the other."""
    made = service.buy().get_json()
    answer = service.call("POST", f"/internal/reservations/{made['id']}/confirm", token=service.service_token)
    is_problem(answer, 409, "not_held")
    assert service.facts()["tickets"] == []


def test_many_confirmations_at_once_issue_the_tickets_once(services: list[Service]) -> None:
    made = services[0].buy(quantity=2).get_json()
    services[0].judge(made["id"])
    path, start = f"/internal/reservations/{made['id']}/confirm", Barrier(8)

    def confirm(number: int) -> int:
        start.wait(30)
        return services[number % 2].call("POST", path, token=services[0].service_token).status_code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(confirm, range(8))) == [200] * 8
    assert len(services[0].facts()["tickets"]) == 2
    assert services[0].told() == ["TICKET_PENDING", "TICKET_RESERVED"]


# -- whose ticket is whose -------------------------------------------------------------------------------------------


def test_a_guest_has_the_tickets_of_the_own_reservation_and_no_others(service: Service) -> None:
    mine, other = service.sold(), service.sold()
    (ticket,) = tickets_of(service, mine["accessToken"])
    assert ticket["reservationId"] == mine["id"]
    for path in (f"/api/tickets/{ticket['id']}{end}" for end in ("", ".pdf", ".png")):
        assert service.call("GET", path, token=mine["accessToken"]).status_code == 200
        is_problem(service.call("GET", path, token=other["accessToken"]), 403, "forbidden")
        is_problem(service.call("GET", path), 401, "unauthenticated")
        is_problem(service.call("GET", path, token=service.service_token), 401, "unauthenticated")


def test_an_account_has_its_own_tickets_and_nobody_elses(service: Service) -> None:
    ada, bob = account(email="ada@example.org"), account(email="bob@example.org")
    service.sold(1, token=ada)
    service.sold(2, token=bob)
    service.sold(3)
    (ticket,) = tickets_of(service, ada)
    assert ticket["matchNumber"] == 1
    for path in (f"/api/tickets/{ticket['id']}{end}" for end in ("", ".pdf", ".png")):
        assert service.call("GET", path, token=ada).status_code == 200
        is_problem(service.call("GET", path, token=bob), 403, "forbidden")
        is_problem(service.call("GET", path, token=GATE), 403, "forbidden")


@pytest.mark.parametrize("end", ["", ".pdf", ".png"])
def test_a_ticket_that_is_not_there_is_not_found(service: Service, end: str) -> None:
    for name in (NOBODYS, "1", "keys2"):
        is_problem(service.call("GET", f"/api/tickets/{name}{end}", token=account()), 404, "not_found")


def test_an_accounts_tickets_come_in_pages_the_newest_first(service: Service) -> None:
    ada = account()
    for match in range(1, 6):
        service.sold(match, token=ada)
    seen: list[int] = []
    path: str | None = "/api/tickets?limit=2"
    while path:
        page = service.call("GET", path, token=ada).get_json()
        seen += [ticket["matchNumber"] for ticket in page["items"]]
        path = page["nextCursor"] and f"/api/tickets?limit=2&cursor={page['nextCursor']}"
    assert seen == [5, 4, 3, 2, 1]


@pytest.mark.parametrize("cursor", ["x", "", "AAAA", "MjAyMi0xMS0wMVQwMDowMDowMCAx", "%00", "ä"])
def test_a_cursor_that_is_none_is_refused(service: Service, cursor: str) -> None:
    for path in ("/api/tickets", "/api/reservations"):
        is_problem(service.call("GET", f"{path}?cursor={cursor}", token=account()), 422, "validation_failed")


def test_pdf_and_picture_bear_the_code_that_opens_the_gate(service: Service) -> None:
    made = service.sold(2, 1, 2)
    ticket = tickets_of(service, made["accessToken"])[1]
    pdf = service.call("GET", f"/api/tickets/{ticket['id']}.pdf", token=made["accessToken"])
    assert (pdf.content_type, pdf.headers["Cache-Control"]) == ("application/pdf", "no-store")
    assert scan_pages(pdf.data) == [[ticket["code"]]]
    (text,) = page_texts(pdf.data)
    assert "Match 2" in text
    assert "Ticket 2 of 2" in text
    png = service.call("GET", f"/api/tickets/{ticket['id']}.png", token=made["accessToken"])
    assert png.content_type == "image/png"
    assert scan_picture(png.data) == [ticket["code"]]


def test_the_keys_are_public_and_verify_a_code_without_the_site(service: Service) -> None:
    answer = service.call("GET", "/api/tickets/keys")
    (key,) = answer.get_json()["keys"]
    assert set(key) == {"kty", "crv", "x", "kid", "alg", "use"}
    claims = jwt.decode(code_of(service, match=7), jwt.PyJWK(key), algorithms=["EdDSA"], issuer="matchday")
    assert (claims["match"], claims["seq"]) == (7, 1)


# -- the gate --------------------------------------------------------------------------------------------------------


def test_a_ticket_admits_once_and_is_refused_the_second_time(service: Service) -> None:
    made = service.sold(12, 2)
    (ticket,) = tickets_of(service, made["accessToken"])
    admitted = verify(service, ticket["code"], scanner="North 1", matchNumber=12)
    assert admitted.status_code == 200
    answer = admitted.get_json()
    assert (answer["admitted"], answer["ticketId"], answer["scanner"]) == (True, ticket["id"], "North 1")
    assert (answer["matchNumber"], answer["category"], answer["number"]) == (12, 2, 1)
    before = service.facts()
    problem = is_problem(verify(service, ticket["code"], scanner="South 2"), 409, "already_admitted")
    assert (problem["admittedAt"], problem["scanner"]) == (answer["admittedAt"], "North 1")
    assert service.facts() == before
    assert tickets_of(service, made["accessToken"])[0]["status"] == "admitted"


def test_of_scanners_that_ask_at_the_same_moment_exactly_one_admits(services: list[Service]) -> None:
    for _ in range(ROUNDS):
        code, start = code_of(services[0]), Barrier(6)

        def scan(number: int, code: str = code, start: Barrier = start) -> int:
            start.wait(30)
            return int(verify(services[number % 2], code, scanner=f"gate {number}").status_code)

        with ThreadPoolExecutor(6) as pool:
            assert Counter(pool.map(scan, range(6))) == {200: 1, 409: 5}
        services[0].clear()


def test_a_scanner_that_lost_the_answer_is_told_it_again_and_no_other_scanner_is(service: Service) -> None:
    code = code_of(service)
    first = verify(service, code, key="k", scanner="North 1")
    again = verify(service, code, key="k", scanner="North 1")
    assert (again.status_code, again.get_json()) == (200, first.get_json())
    is_problem(verify(service, code, key="k", scanner="North 2"), 409, "already_admitted")
    is_problem(verify(service, code, key="other", scanner="North 1"), 409, "already_admitted")
    assert len(service.facts()["admissions"]) == 1


def test_the_site_itself_may_verify_and_whoever_does_not_work_at_the_gate_may_not(service: Service) -> None:
    code = code_of(service)
    guest = service.sold()["accessToken"]
    is_problem(verify(service, code, None), 401, "unauthenticated")
    is_problem(verify(service, code, guest), 401, "unauthenticated")
    is_problem(verify(service, code, "x" * 43), 401, "unauthenticated")
    for role in ("buyer", "partner"):
        is_problem(verify(service, code, account(role)), 403, "forbidden")
    assert service.facts()["admissions"] == []
    assert verify(service, code, service.service_token).get_json()["scanner"] == "service"
    assert verify(service, code_of(service), account("admin")).status_code == 200


def test_a_forged_code_is_no_ticket_and_changes_nothing(service: Service) -> None:
    code = code_of(service)
    header, claims, signature = code.split(".")
    stranger = Signer().sign({"iss": "matchday", "jti": NOBODYS, "match": 1, "category": 1, "seq": 1}, typ="ticket+jwt")
    before = service.facts()
    for forged in (
        "x",
        code[:-4],
        f"{header}.{claims}.",
        f"{header}.{claims[:-2]}.{signature}",
        stranger,
        account("gate"),
    ):
        is_problem(verify(service, forged), 422, "invalid_ticket")
    assert service.facts() == before


def test_a_code_for_a_ticket_that_was_never_sold_is_no_ticket(service: Service) -> None:
    code = code_of(service)
    service.clear()
    is_problem(verify(service, code), 422, "invalid_ticket")


def test_a_ticket_for_another_match_is_not_used_up(service: Service) -> None:
    code = code_of(service, match=5)
    problem = is_problem(verify(service, code, matchNumber=6), 409, "wrong_match")
    assert problem["matchNumber"] == 5
    assert verify(service, code, matchNumber=5).status_code == 200


@pytest.mark.parametrize("state", ["void", "suspended"])
def test_a_ticket_that_does_not_count_opens_nothing(service: Service, state: str) -> None:
    made = service.sold()
    (ticket,) = tickets_of(service, made["accessToken"])
    service.sql.execute("UPDATE reservations.tickets SET state = %s", (state,))
    is_problem(verify(service, ticket["code"]), 409, "ticket_void")
    (now,) = tickets_of(service, made["accessToken"])
    assert (now["status"], now["code"]) == (state, None)
    for end in (".pdf", ".png"):
        path = f"/api/tickets/{ticket['id']}{end}"
        is_problem(service.call("GET", path, token=made["accessToken"]), 409, "ticket_void")
    assert service.facts()["admissions"] == []


# -- scanners that were offline --------------------------------------------------------------------------------------

NOON, LATER = "2022-11-26T12:00:00Z", "2022-11-26T12:00:01.5Z"


def sync(service: Service, *admissions: tuple[str, str], scanner: str = "North 1", token: str | None = GATE) -> Any:
    told = [{"code": code, "admittedAt": moment} for code, moment in admissions]
    body = {"scanner": scanner, "admissions": told}
    return service.call("POST", "/api/tickets/admissions", token=token, json=body)


def results(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["result"] for item in answer.get_json()["items"]]


def test_whom_a_scanner_let_in_without_a_network_is_taken_over_once(service: Service) -> None:
    code, other = code_of(service), code_of(service)
    assert results(sync(service, (code, NOON), (other, LATER))) == ["admitted", "admitted"]
    before = service.facts()
    assert results(sync(service, (code, NOON), (other, LATER))) == ["admitted", "admitted"]
    assert service.facts() == before
    is_problem(verify(service, code), 409, "already_admitted")


def test_a_ticket_used_at_two_scanners_without_a_network_is_found(service: Service) -> None:
    code = code_of(service)
    sync(service, (code, NOON))
    (found,) = sync(service, (code, LATER), scanner="South 2").get_json()["items"]
    assert (found["result"], found["scanner"], found["firstScanner"]) == ("double_use", "South 2", "North 1")
    assert found["firstAdmittedAt"] == NOON
    listed = service.call("GET", "/api/tickets/double-uses", token=GATE).get_json()
    assert listed["items"] == [found]
    assert results(sync(service, (code, LATER), scanner="South 2")) == ["double_use"]
    assert len(service.facts()["admissions"]) == 2


def test_a_ticket_used_with_and_without_a_network_is_found(service: Service) -> None:
    code = code_of(service)
    verify(service, code, scanner="North 1")
    assert results(sync(service, (code, NOON), scanner="North 1")) == ["double_use"]


def test_a_ticket_that_one_scanner_let_in_twice_is_found(service: Service) -> None:
    code = code_of(service)
    assert results(sync(service, (code, NOON), (code, LATER))) == ["admitted", "double_use"]


def test_void_and_forged_tickets_that_were_let_in_are_told_for_what_they_are(service: Service) -> None:
    code, good = code_of(service), code_of(service, match=2)
    service.sql.execute("UPDATE reservations.tickets SET state = 'void' WHERE match_number = 1")
    forged = f"{code[:-6]}AAAAAA"
    assert results(sync(service, (code, NOON), (forged, NOON), (good, NOON))) == [
        "ticket_void",
        "invalid_ticket",
        "admitted",
    ]
    assert len(service.facts()["admissions"]) == 2


def test_scanners_that_sync_the_same_tickets_at_once_count_each_first_use_once(services: list[Service]) -> None:
    codes = [code_of(services[0], match=match) for match in range(1, 9)]
    start = Barrier(4)

    def tell(number: int) -> list[str]:
        start.wait(30)
        order = codes if number % 2 else codes[::-1]
        return results(sync(services[number % 2], *[(code, NOON) for code in order], scanner=f"gate {number}"))

    with ThreadPoolExecutor(4) as pool:
        told = Counter(result for found in pool.map(tell, range(4)) for result in found)
    assert told == {"admitted": len(codes), "double_use": 3 * len(codes)}


def test_double_uses_come_in_pages_and_for_the_gate_alone(service: Service) -> None:
    code = code_of(service)
    for number in range(4):
        sync(service, (code, NOON), scanner=f"gate {number}")
    page = service.call("GET", "/api/tickets/double-uses?limit=2", token=GATE).get_json()
    rest = service.call("GET", f"/api/tickets/double-uses?limit=2&cursor={page['nextCursor']}", token=GATE).get_json()
    assert [item["scanner"] for item in page["items"] + rest["items"]] == ["gate 1", "gate 2", "gate 3"]
    assert rest["nextCursor"] is None
    by_operator = service.call("GET", "/api/tickets/double-uses?limit=2", token=service.service_token)
    assert by_operator.get_json() == page
    is_problem(service.call("GET", "/api/tickets/double-uses", token=account()), 403, "forbidden")
    is_problem(service.call("GET", "/api/tickets/double-uses", token="guessed"), 401, "unauthenticated")
    is_problem(service.call("GET", "/api/tickets/double-uses"), 401, "unauthenticated")
    is_problem(sync(service, (code, NOON), token=account()), 403, "forbidden")
    is_problem(sync(service, (code, NOON), token=None), 401, "unauthenticated")


def test_a_moment_without_its_zone_is_in_the_wrong_format(service: Service) -> None:
    body = {"admissions": [{"code": "x", "admittedAt": "2022-11-26T12:00:00"}]}
    answer = service.call("POST", "/api/tickets/admissions", token=GATE, json=body)
    (found,) = is_problem(answer, 422, "validation_failed")["errors"]
    assert (found["pointer"], found["code"]) == ("/admissions/0/admittedAt", "wrong_format")


@pytest.mark.parametrize(
    "body",
    [
        {"admissions": []},
        {"admissions": [{"code": "x", "admittedAt": NOON}] * 101},
        {"admissions": [{"code": "x", "admittedAt": "2022-11-26T12:00:00"}]},
        {"admissions": [{"code": "x" * 1001, "admittedAt": NOON}]},
        {"admissions": [{"code": "x", "admittedAt": NOON}], "scanner": "a\nb"},
    ],
    ids=["none", "too many", "no zone", "a long code", "a name with a line break"],
)
def test_what_is_no_list_of_admissions_is_refused(service: Service, body: dict[str, Any]) -> None:
    answer = service.call("POST", "/api/tickets/admissions", token=GATE, json=body)
    is_problem(answer, 422, "validation_failed")


# -- what a scanner must refuse without a network --------------------------------------------------------------------


def void_ids(service: Service, query: str = "", token: str | None = GATE) -> list[str]:
    """All pages of the list of void tickets."""
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = service.call("GET", f"/api/tickets/void?{query}{cursor}", token=token)
        assert page.status_code == 200, page.text
        seen += page.get_json()["items"]
        found = page.get_json()["nextCursor"]
        cursor = None if found is None else f"&cursor={found}"
    return seen


def give_back(service: Service, match: int = 1) -> list[str]:
    """Tickets whose money has gone back; the `jti` of their codes."""
    made = service.sold(match, 1, 2)
    body = {"paymentId": f"pay-{made['id']}", "amount": made["amount"], "currency": made["currency"]}
    claims = [
        jwt.decode(each["code"], options={"verify_signature": False})
        for each in tickets_of(service, made["accessToken"])
    ]
    for word in ("paid", "refunded"):
        told = body if word == "paid" else {"paymentId": body["paymentId"]}
        path = f"/internal/reservations/{made['id']}/{word}"
        assert service.call("POST", path, token=service.service_token, json=told).status_code == 200
    return [str(each["jti"]) for each in claims]


def test_void_tickets_are_listed_by_the_id_in_their_code_and_no_others_are(service: Service) -> None:
    service.sold(1, 1, 2)
    suspended = service.sold(1)
    service.sql.execute(
        "UPDATE reservations.tickets SET state = 'suspended' WHERE reservation_id = %s", (suspended["id"],)
    )
    assert void_ids(service) == []
    first, second = give_back(service, 1), give_back(service, 2)
    assert set(void_ids(service)) == {*first, *second}
    assert set(void_ids(service, "matchNumber=2")) == set(second)
    assert void_ids(service, "matchNumber=3") == []


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6, 7])
def test_void_tickets_come_in_pages_each_once(service: Service, limit: int) -> None:
    ids = [ticket for _ in range(3) for ticket in give_back(service)]
    give_back(service, 2)
    found = void_ids(service, f"matchNumber=1&limit={limit}")
    assert Counter(found) == Counter(ids)
    first = service.call("GET", f"/api/tickets/void?limit={limit}&matchNumber=1", token=GATE).get_json()
    assert len(first["items"]) == min(limit, 6)
    assert (first["nextCursor"] is None) == (limit >= 6)


def test_void_tickets_are_for_the_gate_alone(service: Service) -> None:
    ids = set(give_back(service))
    for token in (GATE, account("admin"), service.service_token):
        assert set(void_ids(service, token=token)) == ids
    for role in ("buyer", "partner"):
        is_problem(service.call("GET", "/api/tickets/void", token=account(role)), 403, "forbidden")
    for stranger in (None, "x" * 43, service.sold(2)["accessToken"]):
        is_problem(service.call("GET", "/api/tickets/void", token=stranger), 401, "unauthenticated")


@pytest.mark.parametrize("query", ["cursor=x", "cursor=", "limit=0", "limit=1001", "matchNumber=0", "match=1"])
def test_what_is_no_part_of_the_void_tickets_is_refused(service: Service, query: str) -> None:
    is_problem(service.call("GET", f"/api/tickets/void?{query}", token=GATE), 422, "validation_failed")


def test_codes_are_kept_nowhere(service: Service) -> None:
    """Who reads the database cannot print tickets."""
    code = code_of(service)
    verify(service, code)
    sync(service, (code, NOON))
    kept = json.dumps(service.facts(), default=str)
    assert code not in kept
    assert code.rpartition(".")[2] not in kept
