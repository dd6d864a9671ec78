"""The Stripe stand-in as a process of its own, for tests.

with standin(directory, payments_url=url) as stripe:
    stripe.api.v1.payment_intents.create({"amount": 1000, "currency": "usd"})   # the official library
    stripe.fault(path="/v1/refunds", status=500, when="after")                  # what goes wrong next
    stripe.hold(); stripe.let_go(order="reversed", copies=2)                    # events
    stripe.kill(); stripe.start()                                               # kill -9; same port, same state
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import stripe
from pydantic.alias_generators import to_camel
from stripe import StripeClient

from matchday.health import is_ready
from matchday.paths import CHECKOUT
from matchday.ports import free_port
from tests.eventually import eventually

SECRET_KEY = "sk_test_of4the5tests6of7this8site"
WEBHOOK_SECRET = "whsec_of4the5tests6of7this8site"
PUBLISHABLE_KEY = "pk_test_of4the5tests"


class StandinProcess:
    """The process, and what a test orders from it."""

    def __init__(self, directory: Path, payments_url: str = "", **settings: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = directory / "stripe-standin.log"
        self._environment = {
            **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")},
            "PORT": str(self.port),
            "HTTP_THREADS": "32",
            "SERVICE_TOKEN": "not used by the stand-in",
            "STRIPE_SECRET_KEY": SECRET_KEY,
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "STRIPE_STANDIN_FILE": str(directory / "stripe.sqlite"),
            "PAYMENTS_URL": payments_url,
            "STRIPE_STANDIN_REFUND_SECONDS": "0.2",
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.api = self.client(SECRET_KEY)
        self._http = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {SECRET_KEY}"}, timeout=60, trust_env=False
        )

    def client(self, key: str, retries: int = 0, timeout: float = 30) -> StripeClient:
        """The official library, pointed at the process."""
        return StripeClient(
            key,
            base_addresses={"api": self.url},
            max_network_retries=retries,
            http_client=stripe.RequestsClient(timeout=timeout),
        )

    def start(self) -> "StandinProcess":
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "matchday.stripe_standin"],
                cwd=CHECKOUT,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        eventually(lambda: is_ready(f"127.0.0.1:{self.port}"), 30, "the stand-in answers")
        return self

    def kill(self) -> None:
        """kill -9, its worker included."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        self.kill()
        self._http.close()

    # What Stripe does not have

    def order(self, method: str, path: str, /, **body: Any) -> Any:
        # A GET with a body may be answered before it has come, and its connection is closed then.
        content = {to_camel(name): value for name, value in body.items()} if method == "POST" else None
        answer = self._http.request(method, f"/standin/{path}", json=content)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def fault(self, **fault: Any) -> None:
        """See `matchday.stripe_standin.faults.Fault`."""
        self.order("POST", "faults", **fault)

    def no_faults(self) -> None:
        self.order("DELETE", "faults")

    def hold(self) -> None:
        """Events are kept back from now on."""
        self.order("POST", "webhooks", held=True)

    def let_go(self, order: str = "as_made", copies: int = 1) -> int:
        """The events that were kept back are posted, further ones at once."""
        self.order("POST", "webhooks", held=False)
        return int(self.order("POST", "webhooks/release", order=order, copies=copies)["sent"])

    def again(self, event_id: str) -> None:
        """Posts an event once more."""
        self.order("POST", f"events/{event_id}/send")

    def told(self) -> list[dict[str, Any]]:
        """How the posts of events stand, newest first."""
        return list(self.order("GET", "webhooks")["items"])

    def quiet(self) -> bool:
        """Whether every event has been taken."""
        return all(row["done"] for row in self.told() if not row["held"])

    def authenticate(self, intent: Any, outcome: str = "complete") -> httpx.Response:
        """What the buyer does on the bank's page."""
        action = intent.next_action
        url = action.redirect_to_url.url if action.type == "redirect_to_url" else action.use_stripe_sdk["stripe_js"]
        assert "Complete authentication" in self._http.get(url).text
        return self._http.post(
            url,
            content=f"outcome={outcome}",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )


@contextlib.contextmanager
def standin(directory: Path, payments_url: str = "", **settings: str) -> Iterator[StandinProcess]:
    """A running stand-in, until the end of the block."""
    directory.mkdir(parents=True, exist_ok=True)
    process = StandinProcess(directory, payments_url, **settings)
    try:
        yield process.start()
    finally:
        process.close()
