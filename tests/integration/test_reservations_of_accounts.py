"""Reservations of the signed-in: no address, limits of their own, pages; and the accounts that users tells of."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from matchday.servers import Postgres
from tests.counter import Service, is_problem, open_replica, open_service
from tests.jwks import serve_keys
from tests.resources import Databases
from tests.tokens import Signer

SIGNER = Signer()
LIMIT = 6
ADA = "ada@example.org"
ADAS_ID, BOBS_ID = "0a000000-0000-4000-8000-000000000001", "0b000000-0000-4000-8000-000000000002"


@pytest.fixture(scope="module")
def opened(_postgres: Postgres, _template: str) -> Iterator[list[Service]]:
    """Two processes of one service, as it were."""
    databases = Databases(_postgres, _template)
    with (
        serve_keys(SIGNER) as users,
        open_service(databases.create(), USERS_URL=users, PURCHASE_LIMIT=str(LIMIT)) as service,
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


def account(account_id: str = ADAS_ID, email: str = ADA, **claims: Any) -> str:
    return SIGNER.sign({**SIGNER.claims(account_id=account_id), "email": email, **claims})


def internal(service: Service, path: str, **body: Any) -> Any:
    return service.call("POST", f"/internal/accounts/{path}", token=service.service_token, json=body)


# -- holding ---------------------------------------------------------------------------------------------------------


def test_an_account_needs_no_address_and_no_access_token(service: Service) -> None:
    made = service.buy(token=account()).get_json()
    assert (made["email"], made["accessToken"]) == (ADA, None)
    opened = service.call("GET", f"/api/reservations/{made['id']}", token=account())
    assert (opened.status_code, opened.get_json()["id"]) == (200, made["id"])


def test_an_account_may_have_its_tickets_sent_elsewhere(service: Service) -> None:
    made = service.buy(token=account(), email="home@example.org").get_json()
    assert made["email"] == "home@example.org"
    assert service.call("GET", f"/api/reservations/{made['id']}", token=account()).status_code == 200


def test_nobody_else_opens_an_accounts_reservation(service: Service) -> None:
    made, guest = service.buy(token=account()).get_json(), service.buy().get_json()
    path = f"/api/reservations/{made['id']}"
    for method in ("GET", "DELETE"):
        is_problem(service.call(method, path, token=account(BOBS_ID, "bob@example.org")), 403, "forbidden")
        is_problem(service.call(method, path, token=account(BOBS_ID, ADA)), 403, "forbidden")
        is_problem(service.call(method, path, token=guest["accessToken"]), 403, "forbidden")
        is_problem(service.call(method, path), 401, "unauthenticated")
    is_problem(service.call("GET", f"/api/reservations/{guest['id']}", token=account()), 403, "forbidden")
    assert service.call("DELETE", path, token=account()).get_json()["status"] == "cancelled"


@pytest.mark.parametrize(
    "forged",
    [
        SIGNER.sign({**SIGNER.claims(), "exp": 1}),
        SIGNER.sign({**SIGNER.claims(), "aud": ["others"]}),
        SIGNER.sign({**SIGNER.claims(), "iss": "others"}),
        SIGNER.sign(SIGNER.claims(), typ="ticket+jwt"),
        Signer().sign(SIGNER.claims()),
    ],
    ids=["expired", "for others", "of others", "a ticket", "another key"],
)
def test_who_is_not_signed_in_holds_nothing_in_an_accounts_name(service: Service, forged: str) -> None:
    before = service.facts()
    is_problem(service.buy(token=forged), 401, "unauthenticated")
    is_problem(service.call("GET", "/api/reservations", token=forged), 401, "unauthenticated")
    assert service.facts() == before


@pytest.mark.parametrize("path", ["/api/reservations", "/api/reservation"])
def test_who_shows_a_token_that_nobody_reads_is_no_guest(service: Service, path: str) -> None:
    guests = service.buy().get_json()["accessToken"]
    before = service.facts()
    for token in ("garbage", guests, service.service_token):
        is_problem(service.call("POST", path, token=token, json={}), 401, "unauthenticated")
    assert service.facts() == before


def test_an_accounts_reservations_are_listed_in_pages_the_newest_first(service: Service) -> None:
    made = [service.buy(match, token=account()).get_json()["id"] for match in range(1, 6)]
    service.buy(token=account(BOBS_ID, "bob@example.org"))
    service.buy()
    seen: list[str] = []
    path: str | None = "/api/reservations?limit=2"
    while path:
        page = service.call("GET", path, token=account()).get_json()
        assert len(page["items"]) <= 2
        seen += [item["id"] for item in page["items"]]
        path = page["nextCursor"] and f"/api/reservations?limit=2&cursor={page['nextCursor']}"
    assert seen == made[::-1]


# -- limits ----------------------------------------------------------------------------------------------------------


def test_an_account_gets_no_more_by_giving_other_addresses(service: Service) -> None:
    for number in range(3):
        answer = service.buy(quantity=2, token=account(), email=f"ada-{number}@example.org")
        assert answer.status_code == 201
    before = service.facts()
    is_problem(service.buy(token=account(), email="ada-9@example.org"), 409, "purchase_limit")
    assert service.facts() == before


def test_an_address_gets_no_more_by_signing_in(service: Service) -> None:
    for category in (1, 2, 3):
        service.buy(1, category, 2, email=ADA)
    is_problem(service.buy(token=account()), 409, "purchase_limit")
    is_problem(service.buy(token=account(BOBS_ID, "bob@example.org"), email="Ada@Example.org"), 409, "purchase_limit")
    assert service.buy(2, token=account()).status_code == 201


def test_of_an_accounts_requests_at_once_as_many_succeed_as_the_limit_lets(services: list[Service]) -> None:
    start = Barrier(12)

    def buy(number: int) -> int:
        start.wait(30)
        email = f"ada-{number}@example.org" if number % 2 else None
        answer = services[number % 2].buy(1, 1 + number % 3, token=account(), email=email)
        return answer.status_code

    with ThreadPoolExecutor(12) as pool:
        assert Counter(pool.map(buy, range(12))) == {201: LIMIT, 409: 12 - LIMIT}


def test_an_idempotency_key_is_an_accounts_own(service: Service) -> None:
    first = service.buy(token=account(), key="k", email="x@example.org").get_json()
    again = service.buy(token=account(), key="k", email="x@example.org").get_json()
    other = service.buy(token=account(BOBS_ID, "bob@example.org"), key="k", email="x@example.org").get_json()
    guest = service.buy(key="k", email="x@example.org").get_json()
    assert first["id"] == again["id"]
    assert len({first["id"], other["id"], guest["id"]}) == 3


# -- what users tells ------------------------------------------------------------------------------------------------


def test_a_guests_reservations_join_the_account_that_has_proved_the_address(service: Service) -> None:
    mine = [service.buy(match, email=email).get_json() for match, email in ((1, ADA), (2, "ADA@Example.org"))]
    service.buy(3, email="bob@example.org")
    service.buy(4, token=account(BOBS_ID, "bob@example.org"), email=ADA)
    for expected in (2, 0):
        joined = internal(service, "verified", accountId=ADAS_ID, email="Ada@example.org")
        assert (joined.status_code, joined.get_json()) == (200, {"reservations": expected})
    listed = service.call("GET", "/api/reservations", token=account()).get_json()["items"]
    assert {item["id"] for item in listed} == {made["id"] for made in mine}
    again = service.call("GET", f"/api/reservations/{mine[0]['id']}", token=mine[0]["accessToken"])
    assert again.status_code == 200, "the guest's token goes on opening it"


def test_tickets_join_with_their_reservation_and_count_for_the_limit(service: Service) -> None:
    sold = [service.sold(1, category, 2, email=ADA) for category in (1, 2, 3)]
    internal(service, "verified", accountId=ADAS_ID, email=ADA)
    tickets = service.call("GET", "/api/tickets", token=account()).get_json()["items"]
    assert {ticket["reservationId"] for ticket in tickets} == {made["id"] for made in sold}
    is_problem(service.buy(token=account(email="new@example.org")), 409, "purchase_limit")


def test_nothing_tells_whose_it_was_when_an_account_is_gone_and_the_sale_stays(service: Service) -> None:
    sold = service.sold(token=account(), email="secret@example.org")
    other = service.sold(2, email="bob@example.org")
    for _ in range(2):
        assert internal(service, "deleted", accountId=ADAS_ID).status_code == 204
    facts = service.facts()
    assert "secret@example.org" not in str(facts)
    assert ADAS_ID not in str(facts)
    assert [row["state"] for row in facts["sales"]] == ["reserved", "reserved"]
    assert len(facts["tickets"]) == 2
    path = f"/internal/reservations/{other['id']}"
    assert service.call("GET", path, token=service.service_token).get_json()["email"] == "bob@example.org"
    is_problem(service.call("GET", f"/api/reservations/{sold['id']}", token=account()), 403, "forbidden")


def _letter(service: Service, recipient: str) -> None:
    service.sql.execute(
        "INSERT INTO reservations.mails (id, kind, recipient, subject, created_at, next_attempt_at)"
        " VALUES (gen_random_uuid(), 'tickets', %s, 'Your tickets', now(), now())",
        (recipient,),
    )


def _waiting(service: Service) -> list[str]:
    return sorted(row["recipient"] for row in service.facts()["mails"])


def test_a_deleted_account_takes_mails_of_its_own_address_only(service: Service) -> None:
    """Somebody holds with a victim's address once, and deletes the account while the victim's tickets wait."""
    service.sold(email="victim@example.org")
    service.buy(2, token=account(), email="victim@example.org")
    _letter(service, "victim@example.org")
    _letter(service, ADA)
    assert internal(service, "deleted", accountId=ADAS_ID).status_code == 204
    assert _waiting(service) == [ADA, "victim@example.org"]
    assert internal(service, "deleted", accountId=ADAS_ID, email="Ada@Example.org").status_code == 204
    assert _waiting(service) == ["victim@example.org"]


def test_only_this_sites_services_tell_of_accounts(service: Service) -> None:
    service.buy(email=ADA)
    before = service.facts()
    for path, body in (("verified", {"accountId": BOBS_ID, "email": ADA}), ("deleted", {"accountId": ADAS_ID})):
        for token in (None, account()):
            answer = service.call("POST", f"/internal/accounts/{path}", token=token, json=body)
            is_problem(answer, 401, "unauthenticated")
    assert service.facts() == before


# -- what payments asks ----------------------------------------------------------------------------------------------


def _asked(service: Service, made: dict[str, Any], credential: str | None) -> Any:
    headers = {} if credential is None else {"X-Caller-Authorization": credential}
    path = f"/internal/reservations/{made['id']}"
    return service.call("GET", path, token=service.service_token, headers=headers)


def test_payments_is_told_whose_a_reservation_is(service: Service) -> None:
    mine, guest = service.buy(token=account()).get_json(), service.buy(email="bob@example.org").get_json()
    found = _asked(service, mine, None).get_json()
    assert (found["accountId"], found["email"], found["status"]) == (ADAS_ID, ADA, "submitted")
    assert (found["amount"], found["currency"], found["expiresAt"]) == (7500, "USD", mine["expiresAt"])
    assert _asked(service, guest, None).get_json()["accountId"] is None


def test_payments_learns_whether_a_buyers_own_credential_opens_the_reservation(service: Service) -> None:
    mine, guest = service.buy(token=account()).get_json(), service.buy().get_json()
    assert _asked(service, mine, f"Bearer {account()}").status_code == 200
    assert _asked(service, guest, f"Bearer {guest['accessToken']}").status_code == 200
    wrong = [
        (mine, f"Bearer {account(BOBS_ID)}", 403),
        (mine, f"Bearer {guest['accessToken']}", 403),
        (guest, f"Bearer {account()}", 403),
        (guest, f"Bearer {guest['accessToken'][:-1]}", 401),
        (mine, f"Bearer {Signer().sign(SIGNER.claims(account_id=ADAS_ID))}", 401),
        (mine, f"Bearer {service.service_token}", 401),
        (mine, "Basic x", 401),
    ]
    for made, credential, status in wrong:
        is_problem(_asked(service, made, credential), status, "forbidden" if status == 403 else "unauthenticated")
