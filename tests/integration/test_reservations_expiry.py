"""Holds that end by themselves: real workers, any number of them, and one effect each."""

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from matchday.paths import CHECKOUT
from matchday.run import Run
from matchday.servers import Postgres
from reservations import worker
from reservations.handlers import Site
from reservations.settings import WorkerSettings
from shared.clock import SystemClock
from shared.database import Database
from shared.settings import load
from tests.contract.door import NOWHERE
from tests.counter import Service, open_replica, open_service
from tests.eventually import eventually

HOLD_SECONDS = 0.3
PENDING, CANCELLED = "TICKET_PENDING", "TICKET_CANCELLED"


@pytest.fixture
def service(database_url: str) -> Iterator[Service]:
    with open_service(database_url, HOLD_SECONDS=str(HOLD_SECONDS)) as service:
        yield service


@pytest.fixture
def start_worker(server_run: Run, service: Service, tmp_path: Path) -> Iterator["StartWorker"]:
    starter = StartWorker(server_run, service, tmp_path / "worker.log")
    yield starter
    starter.close()


class StartWorker:
    """Starts workers as processes; ends them with the test."""

    def __init__(self, run: Run, service: Service, log: Path) -> None:
        self._run = run
        self._service = service
        self._log = log
        self._processes: list[subprocess.Popen[bytes]] = []

    def __call__(self, **settings: str) -> subprocess.Popen[bytes]:
        given = {
            **os.environ,
            "DATABASE_URL": self._service.settings.database_url,
            "SERVICE_TOKEN": self._service.service_token,
            "TICKET_KEYS": self._service.settings.ticket_keys.get_secret_value(),
            "SMTP_URL": "smtp://127.0.0.1:1",
            "ANALYTICS_SECRET": "a-secret-of-analytics",
            "PAYMENTS_URL": "http://127.0.0.1:1",
            "KAFKA_BOOTSTRAP_SERVERS": self._service.settings.kafka_bootstrap_servers,
            "HOLD_SECONDS": str(HOLD_SECONDS),
            "WORKER_POLL_SECONDS": "0.05",
            **settings,
        }
        command = [sys.executable, "-m", "reservations.worker"]
        self._processes.append(self._run.spawn(command, self._log, environment=given, directory=CHECKOUT))
        return self._processes[-1]

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait()


def _states(service: Service) -> Counter[str]:
    return Counter(row["state"] for row in service.facts()["sales"])


def _actions(service: Service) -> Counter[tuple[str, str]]:
    """How often the outbox says what about each sale."""
    messages = service.facts()["outbox"]
    return Counter((row["headers"]["saleId"], json.loads(row["value"])["meta"]["action"]) for row in messages)


def _ended_once(service: Service, count: int) -> None:
    assert _states(service) == {"expired": count}
    actions = _actions(service)
    assert len(actions) == 2 * count
    assert set(actions.values()) == {1}
    assert {action for _, action in actions} == {PENDING, CANCELLED}
    assert all(pool["held"] == 0 for pool in service.facts()["pools"])


def _fill(service: Service, count: int) -> None:
    """Holds in nine pools, so that workers meet in different orders."""
    for number in range(count):
        answer = service.buy(1 + number % 3, 1 + number % 2, 1 + number % 2)
        assert answer.status_code == 201


def test_a_hold_ends_when_its_time_is_over_and_its_tickets_are_free(
    service: Service, start_worker: StartWorker
) -> None:
    made = service.buy(1, 1, 2).get_json()
    start_worker()
    path = f"/api/reservations/{made['id']}"
    ended = service.call("GET", f"{path}?wait=20", token=made["accessToken"])
    assert ended.get_json()["status"] == "expired"
    _ended_once(service, 1)


def test_of_two_worker_processes_at_once_each_hold_is_ended_once(service: Service, start_worker: StartWorker) -> None:
    workers = [start_worker(), start_worker()]
    for _ in range(5):
        _fill(service, 12)
    eventually(lambda: _states(service) == {"expired": 60}, 30, "all holds have ended")
    _ended_once(service, 60)
    assert [process.poll() for process in workers] == [None, None]


def test_of_many_workers_at_the_same_moment_each_hold_is_ended_once(service: Service) -> None:
    """The looks of four workers at one set of due holds begin together."""
    _fill(service, 40)
    given = {
        "DATABASE_URL": service.settings.database_url,
        "KAFKA_BOOTSTRAP_SERVERS": NOWHERE,
        "SERVICE_TOKEN": service.service_token,
        "TICKET_KEYS": service.settings.ticket_keys.get_secret_value(),
        "SMTP_URL": "smtp://127.0.0.1:1",
        "ANALYTICS_SECRET": "a-secret-of-analytics",
    }
    settings = load(WorkerSettings, given)
    databases = [Database(settings, "worker") for _ in range(4)]
    eventually(lambda: service.rows("SELECT 1 FROM shop.sales HAVING max(expires_at) < now()"), what="all are due")
    start = threading.Barrier(4)

    def work(database: Database) -> None:
        start.wait(30)
        worker.run_once(Site(database, settings.federation(), SystemClock()), settings)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, databases))
    for database in databases:
        database.close()
    _ended_once(service, 40)


def test_a_worker_killed_in_the_middle_has_a_successor_who_ends_the_rest(
    service: Service, start_worker: StartWorker
) -> None:
    first = start_worker()
    _fill(service, 30)
    eventually(lambda: _states(service)["expired"], what="the worker works")
    first.kill()
    _fill(service, 30)
    start_worker()
    eventually(lambda: _states(service) == {"expired": 60}, 30, "all holds have ended")
    _ended_once(service, 60)


def test_a_worker_waits_out_a_database_that_is_restarted(
    service: Service, start_worker: StartWorker, postgres: Postgres
) -> None:
    process = start_worker()
    _fill(service, 3)
    eventually(lambda: _states(service) == {"expired": 3}, what="the worker works")
    service.sql.close()
    postgres.restart()
    with open_replica(service) as again:
        _fill(again, 3)
        eventually(lambda: _states(again) == {"expired": 6}, 30, "the worker works again")
        _ended_once(again, 6)
    assert process.poll() is None


def test_a_hold_that_the_log_does_not_judge_in_time_is_given_back(service: Service, start_worker: StartWorker) -> None:
    """Long before the buyer's own time is over; one that is admitted stays."""
    with open_replica(service, hold_seconds=600.0) as patient:
        undecided, admitted = patient.buy().get_json(), patient.buy().get_json()
        patient.sql.execute(
            "UPDATE shop.sales SET state = 'held', log_state = 'held', log_held = sales.quantity FROM"
            " reservations.reservations r WHERE r.sale_id = sales.sale_id AND r.id = %s",
            (admitted["id"],),
        )
        start_worker(HOLD_SECONDS="600", VERDICT_SECONDS="0.5")
        path = f"/api/reservations/{undecided['id']}?wait=20"
        assert patient.call("GET", path, token=undecided["accessToken"]).get_json()["status"] == "expired"
        assert _states(patient) == {"expired": 1, "held": 1}


def test_a_worker_that_is_stopped_ends_cleanly(service: Service, start_worker: StartWorker) -> None:
    process = start_worker()
    service.buy()
    eventually(lambda: _states(service) == {"expired": 1}, 30, "the worker works")
    process.terminate()
    assert process.wait(15) == 0
