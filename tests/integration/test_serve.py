"""A service as a process: it serves, survives, stops and does not let anybody hold its threads for ever."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from matchday.ports import free_port
from tests.eventually import eventually
from tests.example_service import SERVICE_TOKEN

ORDER = b'{"matchNumber":1,"quantity":1}'


class Server:
    """One running example server."""

    def __init__(self, **settings: str) -> None:
        self.port = free_port()
        environment = {**os.environ, "PORT": str(self.port), "SERVICE_TOKEN": SERVICE_TOKEN, **settings}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.example_server"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30, trust_env=False)

    def wait_until_ready(self) -> "Server":
        eventually(self._is_ready, 30, "the server answers")
        return self

    def _is_ready(self) -> bool:
        try:
            return self.client.get("/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    @property
    def worker(self) -> int:
        return int(self.client.get("/api/process").json()["pid"])

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 30)

    def send(self, head: str, body: bytes = b"") -> socket.socket:
        connection = self.connect()
        connection.sendall(f"{head}\r\nHost: example\r\n\r\n".encode() + body)
        return connection

    def post(self, target: str, headers: str = "") -> int:
        """The status of a request with the service token, whose target is sent as it is."""
        token = f"Authorization: Bearer {SERVICE_TOKEN}\r\nConnection: close\r\n"
        with self.connect() as connection:
            head = f"POST {target} HTTP/1.1\r\nHost: example\r\n{token}{headers}Content-Length: 0\r\n\r\n"
            connection.sendall(head.encode())
            return int(connection.makefile("rb").readline().split()[1])

    def end(self) -> str:
        """All output; the process is killed when it has not ended by itself."""
        if self.process.poll() is None:
            self.process.kill()
        self.client.close()
        return self.process.communicate(timeout=30)[0].decode()


def headers_of(connection: socket.socket) -> bytes:
    """The next answer's head, in small letters."""
    connection.settimeout(10)
    said = b""
    while b"\r\n\r\n" not in said:
        piece = connection.recv(65_536)
        assert piece, said
        said += piece
    return said.partition(b"\r\n\r\n")[0].lower()


@pytest.fixture
def serving() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def serve(**settings: str) -> Server:
        servers.append(Server(**settings))
        return servers[-1]

    yield serve
    for server in servers:
        server.end()


Serving = Callable[..., Server]


def _received(connection: socket.socket) -> bytes:
    received = b""
    with connection:
        while piece := connection.recv(65_536):
            received += piece
    return received


def test_sigterm_ends_it_with_success_and_releases_everything(serving: Serving) -> None:
    server = serving().wait_until_ready()
    server.process.terminate()
    assert server.process.wait(20) == 0
    assert "the end" in server.end()


def test_a_stop_lets_requests_in_flight_finish(serving: Serving) -> None:
    server = serving().wait_until_ready()
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(server.client.get, "/api/process?seconds=2")
        eventually(lambda: b"in_progress 2.0" in httpx.get(f"{server.client.base_url}/metrics").content, 10)
        server.process.terminate()
        assert answer.result(20).status_code == 200
    assert server.process.wait(20) == 0


def test_a_stop_is_bounded_in_time(serving: Serving) -> None:
    server = serving().wait_until_ready()
    connection = server.send("GET /api/process?seconds=60 HTTP/1.1")
    eventually(lambda: b"in_progress 2.0" in server.client.get("/metrics").content, 10)
    server.process.terminate()
    assert server.process.wait(20) == 0
    connection.close()


def test_ctrl_c_ends_the_whole_group_with_success(serving: Serving) -> None:
    server = serving().wait_until_ready()
    os.killpg(server.process.pid, signal.SIGINT)
    assert server.process.wait(20) == 0


def test_sigterm_to_the_whole_group_is_a_success_too(serving: Serving) -> None:
    server = serving().wait_until_ready()
    os.killpg(server.process.pid, signal.SIGTERM)
    assert server.process.wait(20) == 0


@pytest.mark.parametrize("pause", [0.0, 0.1, 0.3, 0.6])
def test_a_stop_at_any_moment_of_the_start_stops(serving: Serving, pause: float) -> None:
    server = serving()
    eventually(lambda: psutil.Process(server.process.pid).status() != psutil.STATUS_ZOMBIE)
    time.sleep(pause)  # any moment will do
    server.process.terminate()
    assert server.process.wait(20) in (0, -signal.SIGTERM)


def test_a_killed_worker_is_replaced(serving: Serving) -> None:
    server = serving().wait_until_ready()
    worker = server.worker
    os.kill(worker, signal.SIGKILL)
    server.wait_until_ready()
    assert server.worker != worker
    assert server.process.poll() is None


def test_the_worker_dies_with_the_main_process(serving: Serving) -> None:
    server = serving().wait_until_ready()
    worker = psutil.Process(server.worker)
    server.process.kill()
    worker.wait(5)


def test_an_app_that_cannot_be_made_ends_it_with_failure(serving: Serving) -> None:
    server = serving(EXAMPLE_BREAKS="true")
    assert server.process.wait(30) == 1
    assert "this app cannot be made" in server.end()


def test_a_wrong_setting_ends_it_with_code_2_and_its_name(serving: Serving) -> None:
    server = serving(CORS_ORIGINS="everybody")
    assert server.process.wait(30) == 2
    assert "CORS_ORIGINS" in server.end()


def test_a_stop_ends_open_streams(serving: Serving) -> None:
    server = serving().wait_until_ready()
    with server.client.stream("GET", "/api/endless") as response:
        pieces = response.iter_raw()
        assert next(pieces) == b"begun\n"
        server.process.terminate()
        assert b"".join(pieces) == b"stopping\n"
    assert server.process.wait(20) == 0


def test_streams_do_not_take_the_threads_of_requests(serving: Serving) -> None:
    server = serving(HTTP_THREADS="2").wait_until_ready()
    streams = [server.send("GET /api/endless HTTP/1.1") for _ in range(20)]
    for stream in streams:
        assert stream.recv(10)
    assert server.client.get("/api/orders/1").status_code == 200
    for stream in streams:
        stream.close()


def test_a_body_in_chunks_is_read_and_measured(serving: Serving) -> None:
    server = serving(BODY_BYTES_MAX="1024").wait_until_ready()
    headers = {"Content-Type": "application/json"}

    def chunks(size: int) -> Iterator[bytes]:
        yield ORDER
        yield b" " * (size - len(ORDER))

    assert server.client.post("/api/orders", content=chunks(1024), headers=headers).status_code == 201
    assert server.client.post("/api/orders", content=chunks(1025), headers=headers).status_code == 413
    assert server.client.post("/api/orders", content=chunks(900_000), headers=headers).status_code == 413


@pytest.mark.parametrize(
    "target",
    [
        "//internal/orders/1/close", "/./internal/orders/1/close", "/api/../internal/orders/1/close",
        "/internal/orders/1/close/", "/%2e/internal/orders/1/close", "/%2finternal/orders/1/close",
        "http://example//internal/orders/1/close", "/internal/orders/1/close%3b", "/%2569nternal/orders/1/close",
    ],
)  # fmt: skip
def test_another_spelling_of_an_internal_path_leads_nowhere(serving: Serving, target: str) -> None:
    server = serving().wait_until_ready()
    assert server.post(target) == 404
    assert server.post("/internal/orders/1/close") == 200


@pytest.mark.parametrize("target", ["/%69nternal/orders/1/close", "/internal%2forders/1/close"])
def test_a_spelling_that_the_server_hides_from_us_is_refused_when_a_proxy_hands_it_on(
    serving: Serving, target: str
) -> None:
    server = serving().wait_until_ready()
    assert server.post(target, "X-Forwarded-For: 198.51.100.1\r\n") == 404


def test_a_body_that_may_miss_is_none_when_it_is_empty(serving: Serving) -> None:
    server = serving().wait_until_ready()
    for headers in ({}, {"Content-Type": "application/json"}):
        assert server.client.post("/api/notes", headers=headers).json() == {"text": None}
        assert server.client.post("/api/notes", headers=headers, content=iter([b""])).json() == {"text": None}
    with_no_length = server.send("POST /api/notes HTTP/1.1\r\nConnection: close")
    assert _received(with_no_length).startswith(b"HTTP/1.1 200 ")
    assert server.client.post("/api/notes", json={"text": "x"}).json() == {"text": "x"}


def test_head_and_304_and_204_have_no_body_on_the_wire(serving: Serving) -> None:
    server = serving().wait_until_ready()
    head = _received(server.send("HEAD /api/orders/1 HTTP/1.1\r\nConnection: close"))
    assert head.startswith(b"HTTP/1.1 200")
    assert b"content-length: 41" in head
    assert head.endswith(b"\r\n\r\n")


def test_a_head_of_any_length_is_refused_or_answered(serving: Serving) -> None:
    server = serving().wait_until_ready()
    long = server.client.get("/api/search?team=" + "x" * 20_000)
    assert long.status_code == 422
    for size in (100_000, 1_000_000):
        assert server.client.get("/api/orders/1", headers={"X-Long": "x" * size}).status_code == 431
    assert server.client.get("/api/orders/1").status_code == 200


def test_settings_do_not_look_like_headers(serving: Serving) -> None:
    server = serving(HTTP_X_REQUEST_ID="from-the-environment").wait_until_ready()
    assert server.client.get("/api/orders/1").headers["X-Request-Id"] != "from-the-environment"


POST = "POST /api/orders HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}"


def test_bodies_that_never_end_leave_threads_for_others(serving: Serving) -> None:
    server = serving(HTTP_THREADS="4").wait_until_ready()
    stalled = [server.send(POST.format(100), b"{") for _ in range(8)]
    eventually(lambda: server.client.get("/api/orders/1").status_code == 200, 10)
    answers = [eventually(lambda: server.client.get("/api/orders/1").status_code, 10) for _ in range(20)]
    assert set(answers) == {200}
    refused = server.client.post("/api/orders", content=ORDER, headers={"Content-Type": "application/json"})
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    for connection in stalled:
        connection.close()
    eventually(lambda: server.client.post("/api/orders", json={"matchNumber": 1, "quantity": 1}).status_code == 201, 10)


needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="the system tells of bytes taken on Linux only")


@needs_linux
def test_a_body_that_stops_in_the_middle_is_cut_off(serving: Serving) -> None:
    server = serving(QUIET_SECONDS_MAX="1").wait_until_ready()
    assert _received(server.send(POST.format(100), b"{")) == b""


@needs_linux
def test_a_body_that_comes_byte_by_byte_is_cut_off(serving: Serving) -> None:
    server = serving(QUIET_SECONDS_MAX="1").wait_until_ready()
    connection = server.send(POST.format(60_000))
    with pytest.raises(OSError):  # noqa: PT012
        for _ in range(600):
            connection.sendall(b" ")
            time.sleep(0.05)  # a slow client
    connection.close()


@needs_linux
def test_a_viewer_that_does_not_read_is_cut_off(serving: Serving) -> None:
    server = serving(QUIET_SECONDS_MAX="1").wait_until_ready()
    connection = server.send("GET /api/endless?seconds=0.001 HTTP/1.1")
    eventually(lambda: b"quiet_connections_total 1.0" in server.client.get("/metrics").content, 30)
    connection.close()


@needs_linux
def test_who_takes_what_is_sent_stays_connected(serving: Serving) -> None:
    server = serving(QUIET_SECONDS_MAX="1").wait_until_ready()
    with server.client.stream("GET", "/api/endless?seconds=0.5") as response:
        pieces = response.iter_raw(65_536)
        begun = time.monotonic()
        while time.monotonic() - begun < 3:
            assert next(pieces)


@pytest.mark.parametrize("target", ["GET /api/process", "POST /nowhere", "DELETE /api/process"])
def test_who_is_answered_before_the_body_has_come_is_told_that_the_connection_ends(
    serving: Callable[..., Server], target: str
) -> None:
    """The server closes it then, and who keeps connections open would lose the next request on it."""
    server = serving().wait_until_ready()
    for _ in range(20):
        with server.send(f"{target} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2") as connection:
            assert b"\r\nconnection: close" in headers_of(connection)


def test_who_has_sent_all_may_go_on(serving: Callable[..., Server]) -> None:
    server = serving().wait_until_ready()
    head = f"POST /api/orders HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(ORDER)}"
    with server.send(head, ORDER) as connection:
        assert b"connection: close" not in headers_of(connection)
    with server.send("GET /api/process HTTP/1.1") as connection:
        assert b"connection: close" not in headers_of(connection)
