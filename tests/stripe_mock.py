"""`make stripe-contract`: every request that payments sends is accepted by `stripe-mock`, which holds Stripe's schema.

stripe-mock is Stripe's own, a Go program; Go fetches and builds it. It listens on the loopback address alone, and is
asked each recorded request once. That it looks at what it is asked is tried first, with wrong ones.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from matchday.ports import LOOPBACK, free_port
from tests.eventually import eventually
from tests.stripe_requests import GOLDEN

MODULE = "github.com/stripe/stripe-mock@v0.203.0"
BUILD_SECONDS_MAX = 600
KEY = {"Authorization": "Bearer sk_test_123"}
WRONG: list[dict[str, Any]] = [
    {"what": "an unknown parameter", "params": {"amount": "25000", "currency": "usd", "surprise": "1"}},
    {"what": "an amount that is no number", "params": {"amount": "many", "currency": "usd"}},
    {"what": "no currency", "params": {"amount": "25000"}},
]


def build(folder: Path) -> Path:
    """The program, fetched and built by Go."""
    subprocess.run(
        ["go", "install", MODULE],
        check=True,
        timeout=BUILD_SECONDS_MAX,
        env={**os.environ, "GOBIN": str(folder)},
    )
    return folder / "stripe-mock"


@contextmanager
def running(program: Path) -> Iterator[httpx.Client]:
    """stripe-mock on a port of its own, and a client of it."""
    port = free_port()
    process = subprocess.Popen(
        [program, "-http-addr", f"{LOOPBACK}:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with httpx.Client(base_url=f"http://{LOOPBACK}:{port}", headers=KEY, trust_env=False) as client:
            eventually(lambda: _answers(client), 60, "stripe-mock answers")
            yield client
    finally:
        process.terminate()
        process.wait(10)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/v1/balance").status_code == 200
    except httpx.HTTPError:
        return False


def send(client: httpx.Client, request: dict[str, Any]) -> httpx.Response:
    """One recorded request."""
    if request["method"] == "GET":
        return client.get(request["path"], params=request["params"])
    return client.post(request["path"], data=request["params"])


def main() -> int:
    if shutil.which("go") is None:
        print("stripe-contract needs Go (https://go.dev); the recorded requests are checked by `make test` without it")
        return 2
    with tempfile.TemporaryDirectory() as folder, running(build(Path(folder))) as client:
        blind = [
            wrong["what"]
            for wrong in WRONG
            if send(client, {"method": "POST", "path": "/v1/payment_intents", **wrong}).status_code != 400
        ]
        refused = []
        for request in json.loads(GOLDEN.read_text("utf-8")):
            answer = send(client, request)
            print(f"{answer.status_code} {request['method']:4} {request['path']}: {request['what']}")
            if answer.status_code != 200:
                refused.append(f"{request['what']}: {answer.text}")
    for problem in refused + [f"stripe-mock takes {what}, so its word is worth nothing" for what in blind]:
        print(problem, file=sys.stderr)
    return 1 if refused or blind else 0


if __name__ == "__main__":
    raise SystemExit(main())
