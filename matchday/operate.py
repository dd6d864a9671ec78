"""What an operator does with a site from another shell: look at it, stop it, ask its consumer."""

import os
import signal
from collections.abc import Iterator
from typing import Any

from matchday.errors import RunnerError
from matchday.health import Answer, ask
from matchday.run import reap, start_time
from matchday.site import Holder, Site, holder, read_document
from matchday.stopping import until

DOWN_SECONDS = 90.0
LOCK_WRITE_SECONDS = 2.0
SLOW_ANSWER_SECONDS = 600.0
CONSUMER = "shop-consumer"
ANALYTICS = "analytics"
WRITER_SILENT_SECONDS = 60.0


def running_since(site: Site) -> Holder | None:
    """Who runs the site; waits for a runner that is just writing down who it is."""
    found: list[Holder | None] = [holder(site)]

    def known() -> bool:
        found[0] = holder(site)
        return found[0] is None or found[0].pid != 0

    until(known, LOCK_WRITE_SECONDS)
    return found[0]


def bring_down(site: Site) -> str:
    """Stop a site and whatever an interrupted run of it left behind; returns what was done."""
    runner = running_since(site)
    if runner is None:
        ended = reap(site.run_directory)
        site.document.unlink(missing_ok=True)
        return f"site {site.name} was down; ended {ended} processes left over" if ended else "nothing to stop"
    if runner.lives():
        os.kill(runner.pid, signal.SIGTERM)
        if not until(lambda: not runner.lives(), DOWN_SECONDS):
            os.kill(runner.pid, signal.SIGKILL)
            until(lambda: not runner.lives(), LOCK_WRITE_SECONDS)
            reap(site.run_directory)
            return f"site {site.name} did not stop within {DOWN_SECONDS:g} s and was killed"
    return f"site {site.name} is down"


def status_of(site: Site) -> dict[str, Any] | None:
    """`site.json` with each process's health and the consumer's lag; None when the site is not up."""
    document = read_document(site)
    if document is None or holder(site) is None:
        return None
    for process in document["processes"]:
        process["health"], answer = _health(process)
        if process["name"] == CONSUMER and answer is not None and isinstance(answer.body, dict):
            document["lag"] = _lag(answer.body)
        if process["name"] == ANALYTICS and answer is not None and isinstance(answer.body, dict):
            document["lake"] = answer.body.get("lake")
    for server in document["servers"].values():
        server["health"] = "given" if server["given"] else _alive(server["pid"])
    return document


def _health(process: dict[str, Any]) -> tuple[str, Answer | None]:
    if _alive(process["pid"]) != "running":
        return "not running", None
    if process["address"] is None:
        return "running", None
    answer = ask(process["address"], "/health/ready")
    if answer is None:
        return "does not answer", None
    return ("ready" if answer.status == 200 else "not ready"), answer


def _alive(pid: int | None) -> str:
    return "running" if pid is not None and start_time(pid) is not None else "not running"


def _lag(body: dict[str, Any]) -> dict[str, Any]:
    """The consumer's own words on how far it is, and the sum of its lags in records."""
    details = {name: value for name, value in body.items() if name not in ("ready", "service", "dependencies")}
    return {"records": sum(_lags(details)), "details": details}


def _lags(value: Any) -> Iterator[int]:
    if isinstance(value, dict):
        own = value.get("lag")
        if isinstance(own, int):
            yield own
            return
        value = list(value.values())
    if isinstance(value, list):
        for member in value:
            yield from _lags(member)


def is_healthy(status: dict[str, Any]) -> bool:
    """Whether all processes and servers do what they should."""
    everything = [*status["processes"], *status["servers"].values()]
    return all(entry["health"] in ("ready", "running", "given") for entry in everything)


def status_lines(status: dict[str, Any]) -> Iterator[str]:
    """The status as a table for a person."""
    yield f"site {status['site']} is {status['state']}"
    yield f"{'':2}{'name':<20} {'health':<16} {'pid':>8} {'restarts':>9}  address"
    for entry in [*status["processes"], *status["servers"].values()]:
        pid, restarts = entry.get("pid") or "-", entry.get("restarts", "-")
        address = entry["address"] or "-"
        yield f"{'':2}{entry['name']:<20} {entry['health']:<16} {pid:>8} {restarts:>9}  {address}"
    if "lag" in status:
        yield f"the consumer is {status['lag']['records']} records behind the log"
    if isinstance(status.get("lake"), dict):
        yield from _lake_lines(status["lake"])


def _lake_lines(lake: dict[str, Any]) -> Iterator[str]:
    """What is not well with the lake; a site sells without it, so that it has a line only then."""
    silent, behind = lake.get("silentSeconds"), sum(_lags(lake))
    if silent is not None and silent > WRITER_SILENT_SECONDS:
        yield f"the lake's writer has been silent for {silent:.0f} s"
    elif silent is not None and (behind or lake.get("state") != "writing"):
        yield f"the lake is {behind} records behind, its writer is {lake.get('state')}"


def ask_process(site: Site, name: str, path: str, method: str = "GET", body: Any = None) -> Answer:
    """Ask a process of the running site, as the operator (with the service token)."""
    document = read_document(site)
    if document is None:
        raise RunnerError(f"site {site.name} is not up: `make up` starts it")
    address = next((p["address"] for p in document["processes"] if p["name"] == name), None)
    if address is None:
        raise RunnerError(f"site {site.name} has no process {name} that answers")
    token = site.service_token_file.read_text("utf-8").strip()
    answer = ask(address, path, method=method, token=token, body=body, seconds=SLOW_ANSWER_SECONDS)
    if answer is None:
        raise RunnerError(f"{name} does not answer on {address}: see `matchday status`")
    return answer
