"""Live and ready: each dependency's state, bounded in time."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from shared.errors import DependencyUnavailable
from shared.http import health
from tests.example_service import example_app


def _ready(*, details: Callable[[], dict[str, Any]] | None = None, **checks: Callable[[], None]) -> TestResponse:
    return example_app(readiness=checks, details=details).test_client().get("/health/ready")


def _fine() -> None:
    pass


def _refused() -> None:
    raise DependencyUnavailable("the database is out of reach or busy")


def _bug() -> None:
    raise RuntimeError("postgresql://user:hunter2@host/db")


def test_live_says_that_the_process_lives() -> None:
    response = example_app().test_client().get("/health/live")
    assert response.get_json() == {"live": True, "service": "example"}


def test_ready_when_every_dependency_is_there() -> None:
    response = _ready(postgresql=_fine, kafka=_fine)
    state = response.get_json()
    assert (response.status_code, state["ready"], state["service"]) == (200, True, "example")
    assert {name: found["ok"] for name, found in state["dependencies"].items()} == {"postgresql": True, "kafka": True}


def test_not_ready_names_what_fails_and_why() -> None:
    response = _ready(postgresql=_refused, kafka=_fine)
    problem = response.get_json()
    assert (response.status_code, problem["code"]) == (503, "not_ready")
    assert response.content_type == "application/problem+json"
    assert "Retry-After" in response.headers
    assert (problem["ready"], problem["detail"]) == (False, "failing: postgresql")
    assert problem["dependencies"]["postgresql"]["detail"] == "the database is out of reach or busy"
    assert problem["dependencies"]["kafka"]["ok"] is True


def test_an_unexpected_failure_tells_nothing_inside() -> None:
    response = _ready(postgresql=_bug)
    assert response.status_code == 503
    assert "hunter2" not in response.text


def test_details_are_further_members() -> None:
    assert _ready(kafka=_fine, details=lambda: {"lag": 3}).get_json()["lag"] == 3


def test_failing_details_do_not_make_it_unready() -> None:
    response = _ready(details=lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    assert (response.status_code, response.get_json()["ready"]) == (200, True)


def test_a_check_that_hangs_is_given_up_and_not_started_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS_MAX", 0.05)
    monkeypatch.setattr(health, "KEPT_SECONDS", 0.0)
    release, started = threading.Event(), []

    def hangs() -> None:
        started.append(1)
        release.wait(10)

    client = example_app(readiness={"kafka": hangs}).test_client()
    for _ in range(3):
        problem = client.get("/health/ready").get_json()
        assert "no answer" in problem["dependencies"]["kafka"]["detail"]
    release.set()
    assert len(started) == 1


def test_results_are_kept_for_a_moment() -> None:
    asked: list[int] = []
    client = example_app(readiness={"postgresql": lambda: asked.append(1)}).test_client()
    for _ in range(5):
        assert client.get("/health/ready").status_code == 200
    assert len(asked) <= 2
