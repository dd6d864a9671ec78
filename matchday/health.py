"""Asks a service over HTTP whether it lives and is ready, and calls its few operator's routes."""

import http.client
import json
from dataclasses import dataclass
from typing import Any

ASK_SECONDS = 5.0
BODY_BYTES_MAX = 64_000_000


@dataclass(frozen=True)
class Answer:
    """An HTTP answer with its JSON body; `body` is None when it was no JSON."""

    status: int
    body: Any


def ask(
    address: str,
    path: str,
    *,
    method: str = "GET",
    token: str | None = None,
    body: Any = None,
    seconds: float = ASK_SECONDS,
) -> Answer | None:
    """One request to `host:port`, with a JSON body if any; None when nobody answers there within `seconds`."""
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=seconds)
    headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        if body is None:
            connection.request(method, path, headers=headers)
        else:
            connection.request(method, path, json.dumps(body), headers | {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return Answer(answer.status, _json(answer.read(BODY_BYTES_MAX)))
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def is_ready(address: str) -> bool:
    answer = ask(address, "/health/ready")
    return answer is not None and answer.status == 200


def why_not_ready(address: str) -> str:
    """A few words for the operator."""
    answer = ask(address, "/health/ready")
    if answer is None:
        return "does not answer"
    if answer.status == 200:
        return "is ready"
    body = answer.body if isinstance(answer.body, dict) else {}
    dependencies = body.get("dependencies")
    if isinstance(dependencies, dict):
        failing = [f"{name} ({state.get('detail')})" for name, state in dependencies.items() if not state.get("ok")]
        if failing:
            return "waits for " + ", ".join(failing)
    return str(body.get("detail") or f"answers {answer.status}")
