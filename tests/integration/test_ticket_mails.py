"""Letters about reservations through a real SMTP receiver: in the language that the buyer had when it was reserved."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from matchday.mailbox import Mailbox
from matchday.ports import free_port
from matchday.servers import Postgres
from reservations.tables import mails
from shared.clock import SystemClock
from shared.database import Database
from shared.mail import Postman
from shared.settings import DatabaseSettings, MailSettings, load
from tests.counter import Service, is_problem, open_service, open_worker
from tests.jwks import serve_keys
from tests.resources import Databases
from tests.tickets import page_texts, scan_pages
from tests.tokens import Signer

SIGNER = Signer()
CARD = {"number": "4242424242424242", "expirationMonth": 12, "expirationYear": 2040, "cvc": "123"}


@pytest.fixture(scope="module")
def opened(_postgres: Postgres, _template: str) -> Iterator[Service]:
    databases = Databases(_postgres, _template)
    with serve_keys(SIGNER) as users, open_service(databases.create(), USERS_URL=users) as service:
        yield service
    databases.drop_all()


@pytest.fixture
def service(opened: Service) -> Service:
    opened.clear()
    return opened


@pytest.fixture
def work(service: Service) -> Iterator[Callable[[], None]]:
    with open_worker(service) as once:
        yield once


class Post:
    """A mail server, and the postman who brings it what the worker has written."""

    def __init__(self, service: Service, directory: Path) -> None:
        smtp, http = free_port(), free_port()
        self._mailbox = Mailbox(directory, "127.0.0.1", smtp, http)
        self._mailbox.start()
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{http}", trust_env=False)
        self._database = Database(load(DatabaseSettings, {"DATABASE_URL": service.settings.database_url}), "post")
        settings = load(MailSettings, {"SMTP_URL": f"smtp://127.0.0.1:{smtp}"})
        self._postman = Postman(self._database, mails, settings, SystemClock())

    def letters(self, to: str) -> list[dict[str, Any]]:
        """What somebody has got."""
        self._postman.run_once()
        items: list[dict[str, Any]] = self._http.get("/messages", params={"to": to}).json()["items"]
        return items

    def attached(self, letter: dict[str, Any]) -> bytes:
        (attachment,) = letter["attachments"]
        return self._http.get(attachment["path"]).content

    def close(self) -> None:
        self._http.close()
        self._mailbox.stop()
        self._database.close()


@pytest.fixture
def post(service: Service, tmp_path: Path) -> Iterator[Post]:
    made = Post(service, tmp_path)
    yield made
    made.close()


def hold(
    service: Service, email: str, *, token: str | None = None, accepts: str | None = None, **more: Any
) -> dict[str, Any]:
    headers = {"Accept-Language": accepts} if accepts else {}
    body = {"matchNumber": 1, "category": 1, "quantity": 2, "email": email, **more}
    answer = service.call("POST", "/api/reservations", json=body, headers=headers, token=token)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.get_json()
    return made


def pay(service: Service, made: dict[str, Any]) -> Any:
    """Held, and paid; the payment's id."""
    service.judge(made["id"])
    payment = str(uuid.uuid4())
    assert (
        tell(service, made, "paid", paymentId=payment, amount=made["amount"], currency="USD")["outcome"] == "reserved"
    )
    return payment


def tell(service: Service, made: dict[str, Any], what: str, **body: Any) -> dict[str, Any]:
    answer = service.call("POST", f"/internal/reservations/{made['id']}/{what}", json=body, token=service.service_token)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.get_json()
    return told


def somebody() -> str:
    return f"{uuid.uuid4()}@example.org"


def account(language: str | None) -> str:
    claims = SIGNER.claims()
    return SIGNER.sign(claims if language is None else {**claims, "locale": language})


@pytest.mark.parametrize(
    ("language", "subject", "text", "on_paper"),
    [
        ("en", "Your tickets:", "here are your tickets for", "Ticket 1 of 2"),
        ("ar", "تذاكرك:", "إليك تذاكرك لمباراة", "أظهر هذا الرمز عند البوابة"),
        ("es", "Sus entradas:", "Estas son sus entradas para", "Entrada 1 de 2"),
        ("fr", "Vos billets :", "Voici vos billets pour", "Billet 1 sur 2"),
    ],
)
def test_tickets_come_in_the_buyers_language_and_so_does_all_that_follows(
    service: Service, work: Callable[[], None], post: Post, language: str, subject: str, text: str, on_paper: str
) -> None:
    made = hold(service, email := somebody(), language=language)
    assert made["language"] == language
    payment = pay(service, made)
    work()
    (letter,) = post.letters(email)
    assert letter["subject"].startswith(subject)
    assert text in letter["text"]
    assert made["id"] in letter["text"]
    pdf = post.attached(letter)
    assert on_paper in page_texts(pdf)[0]
    tickets = service.call("GET", "/api/tickets", token=made["accessToken"]).get_json()["items"]
    assert scan_pages(pdf) == [[ticket["code"]] for ticket in tickets]
    again = service.call("GET", f"/api/tickets/{tickets[0]['id']}.pdf", token=made["accessToken"])
    assert on_paper in page_texts(again.data)[0]
    tell(service, made, "refunded", paymentId=payment)
    work()
    subjects = {each["subject"] for each in post.letters(email)} - {letter["subject"]}
    assert subjects == {
        {
            "en": "Your money was given back: match 1", "ar": "أُعيد إليك مالك: المباراة 1",
            "es": "Le hemos devuelto su dinero: partido 1", "fr": "Vous avez été remboursé : match 1",
        }[language]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "of_account", "accepted", "expected"),
    [
        ("fr-CA", None, "es", "fr"),
        (None, None, "de, es-MX;q=0.9, en;q=0.8", "es"),
        ("pt-BR", None, "de", "en"),
        (None, None, None, "en"),
        (None, "ar", "fr", "ar"),
        (None, "de", "fr", "fr"),
        ("es", "ar", "fr", "es"),
    ],
)
def test_the_language_is_what_is_asked_for_the_accounts_or_the_browsers(
    service: Service, wanted: str | None, of_account: str | None, accepted: str | None, expected: str
) -> None:
    more = {} if wanted is None else {"language": wanted}
    token = None if of_account is None else account(of_account)
    made = hold(service, somebody(), token=token, accepts=accepted, **more)
    assert made["language"] == expected
    opener = token or made["accessToken"]
    assert service.call("GET", f"/api/reservations/{made['id']}", token=opener).get_json()["language"] == expected


@pytest.mark.parametrize("wrong", ["", "EN", "english", "en_GB", "../fr", 7])
def test_what_is_no_language_is_refused_and_changes_nothing(service: Service, wrong: object) -> None:
    body = {"matchNumber": 1, "category": 1, "quantity": 1, "email": "ada@example.org", "language": wrong}
    before = service.facts()
    (error,) = is_problem(service.call("POST", "/api/reservations", json=body), 422, "validation_failed")["errors"]
    assert error["pointer"] == "/language"
    purchase = {"email": "ada@example.org", "matchNumber": 1, "tickets": {"category": 1, "quantity": 1, "price": 75}}
    answer = service.call("POST", "/api/reservation", json={**purchase, "card": CARD, "language": wrong})
    assert [each["pointer"] for each in is_problem(answer, 422, "validation_failed")["errors"]] == ["/language"]
    assert service.facts() == before


def test_the_same_key_in_another_language_is_the_same_wish_in_the_first_one(service: Service) -> None:
    body = {"matchNumber": 1, "category": 1, "quantity": 1, "email": "ada@example.org"}
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    first = service.call("POST", "/api/reservations", json={**body, "language": "ar"}, headers=headers).get_json()
    again = service.call("POST", "/api/reservations", json={**body, "language": "fr"}, headers=headers).get_json()
    assert (again["id"], again["language"]) == (first["id"], "ar")


def test_a_refused_payment_is_told_of_in_the_language_of_the_hold(
    service: Service, work: Callable[[], None], post: Post
) -> None:
    made = hold(service, email := somebody(), language="ar")
    service.judge(made["id"])
    assert service.call("DELETE", f"/api/reservations/{made['id']}", token=made["accessToken"]).status_code == 200
    service.count_as(held=100_000, sold=0)
    told = {"paymentId": str(uuid.uuid4()), "amount": made["amount"], "currency": "USD"}
    assert tell(service, made, "paid", **told)["outcome"] == "refused"
    work()
    (letter,) = post.letters(email)
    assert letter["subject"] == "سيُعاد إليك مالك: المباراة 1"
    assert "\u2066150.00\xa0USD\u2069" in letter["text"]


def test_who_reserved_before_there_were_languages_is_written_to_in_english(service: Service) -> None:
    """What a process of the release before writes has no language."""
    made = hold(service, somebody(), language="fr")
    columns = [row["column_name"] for row in service.rows(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'reservations'"
        " AND table_name = 'reservations' AND column_name NOT IN ('id', 'sale_id', 'language')"
    )]  # fmt: skip
    copied = ", ".join(columns)
    service.sql.execute(
        f"INSERT INTO reservations.reservations (id, sale_id, {copied}) SELECT gen_random_uuid(), 'old', {copied}"
        " FROM reservations.reservations WHERE id = %s".encode(),
        (made["id"],),
    )
    (old,) = service.rows("SELECT language FROM reservations.reservations WHERE sale_id = 'old'")
    assert old["language"] == "en"
