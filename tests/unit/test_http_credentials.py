"""Routes that are opened by what their body or a cookie of their own bears."""

import pytest
from flask.testing import FlaskClient

from shared.errors import Unauthenticated
from shared.http import CREDENTIAL, SIGNED_IN, Account, BodyModel, Caller, Routes, create_http_app
from shared.http.callers import Environ
from shared.http.models import AnswerModel
from tests.example_service import example_settings

routes = Routes("doors")


class Key(BodyModel):
    word: str | None = None


class Seen(AnswerModel):
    account: str | None
    word: str | None


def seen(caller: Caller, body: Key | None) -> Seen:
    account, word = caller.account, None if body is None else body.word
    return Seen(account=None if account is None else account.id, word=word)


@routes.post("/by-credential", answer=Seen, access=CREDENTIAL)
def by_credential(caller: Caller, body: Key | None) -> Seen:
    """Opened by a word."""
    return seen(caller, body)


@routes.post("/signed-in", answer=Seen, access=SIGNED_IN)
def signed_in(caller: Caller, body: Key | None) -> Seen:
    """Opened by an account."""
    return seen(caller, body)


class Tokens:
    """Knows one token."""

    def account(self, environ: Environ) -> Account | None:
        header = environ.get("HTTP_AUTHORIZATION")
        if header not in (None, "Bearer good"):
            raise Unauthenticated("expired")
        return None if header is None else Account("ada", "ada@example.org", True, frozenset(), "session")


def client() -> FlaskClient:
    return create_http_app("test", "A test.", example_settings(), routes=[routes], accounts=Tokens()).test_client()


def test_the_handler_gets_the_account_if_there_is_one() -> None:
    answer = client().post("/by-credential", headers={"Authorization": "Bearer good"}, json={"word": "sesame"})
    assert answer.get_json() == {"account": "ada", "word": "sesame"}


def test_an_expired_token_opens_nothing_and_hinders_nothing() -> None:
    headers = {"Authorization": "Bearer old"}
    assert client().post("/by-credential", headers=headers, json={}).get_json() == {"account": None, "word": None}
    assert client().post("/signed-in", headers=headers, json={}).status_code == 401


def test_a_body_that_may_miss_is_read_when_it_is_there() -> None:
    assert client().post("/by-credential").get_json() == {"account": None, "word": None}
    assert client().post("/by-credential", json={"word": "sesame"}).get_json()["word"] == "sesame"
    wrong = client().post("/by-credential", data=b"{", content_type="application/json")
    assert (wrong.status_code, wrong.get_json()["code"]) == (400, "malformed_json")
    unknown = client().post("/by-credential", json={"name": "x"})
    assert (unknown.status_code, unknown.get_json()["code"]) == (422, "validation_failed")


# As our server says it of every request, with a body or without.
@pytest.mark.parametrize("length", [None, "", "0"])
@pytest.mark.parametrize("media_type", [None, "application/json", "text/plain"])
def test_a_body_that_may_miss_misses_when_it_is_empty(length: str | None, media_type: str | None) -> None:
    environ = {"wsgi.input_terminated": True, "CONTENT_LENGTH": length, "CONTENT_TYPE": media_type}
    given = {name: value for name, value in environ.items() if value is not None}
    answer = client().post("/by-credential", environ_overrides=given)
    assert (answer.status_code, answer.get_json()) == (200, {"account": None, "word": None})


def test_a_body_that_may_miss_and_comes_in_chunks_is_read() -> None:
    environ = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    sent = {"data": b'{"word": "sesame"}', "environ_overrides": environ}
    assert client().post("/by-credential", content_type="application/json", **sent).get_json()["word"] == "sesame"
    assert client().post("/by-credential", content_type="text/plain", **sent).status_code == 415


def test_a_body_that_may_miss_is_documented_so() -> None:
    operation = client().get("/openapi.json").get_json()["paths"]["/by-credential"]["post"]
    assert operation["requestBody"]["required"] is False
    assert "schema" in operation["requestBody"]["content"]["application/json"]
    assert operation.get("security", []) == []
