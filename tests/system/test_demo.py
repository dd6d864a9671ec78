"""`make demo`, as somebody at a terminal runs it: real sites, buyers and partners, kill -9, ctrl-C, and its audit."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from matchday.paths import CHECKOUT
from matchday.ports import free_port
from tests.eventually import eventually

pytestmark = pytest.mark.timeout(900)
START_SECONDS = 240.0
SALES_SECONDS = 120.0
END_SECONDS = 240.0
SOLD = re.compile(r"([\w-]+) (\d+)")


@dataclass
class Demo:
    """One run in a session of its own, and what it prints."""

    var: Path
    process: "subprocess.Popen[bytes]"

    @property
    def output(self) -> str:
        return (self.var / "demo.out").read_text("utf-8")

    def interrupt(self) -> None:
        """ctrl-C, as a terminal sends it: to all of the group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> int:
        """Its exit code, once it has ended by itself."""
        return self.process.wait(END_SECONDS)

    def wait_for(self, words: str, seconds: float = START_SECONDS) -> None:
        def said() -> bool:
            assert self.process.poll() is None or words in self.output, self.output
            return words in self.output

        eventually(said, seconds, f"the demo says {words!r}")

    def sales(self) -> list[int]:
        """Of each site, how many sales it has made, as last printed."""
        lines = [line for line in self.output.splitlines() if " s left " in line]
        return [int(found) for found in re.findall(r"(\d+) sales", lines[-1])] if lines else []

    def pid_of(self, site: str, process: str) -> int | None:
        document = json.loads((self.var / site / "site.json").read_text("utf-8"))
        found = next(one["pid"] for one in document["processes"] if one["name"] == process)
        return None if found is None else int(found)

    def sold(self) -> dict[str, int]:
        """Tickets by who sold them, as the audit has found them in the log."""
        line = next(line for line in self.output.splitlines() if "tickets sold:" in line)
        return {name: int(tickets) for name, tickets in SOLD.findall(line.partition("tickets sold:")[2])}

    def left_over(self) -> list[psutil.Process]:
        """Everything that runs on its behalf, known by its environment or by its data folder."""
        return [process for process in psutil.process_iter() if self._is_mine(process)]

    def _is_mine(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE or process.pid in (os.getpid(), self.process.pid):
                return False
            var = str(self.var)
            return process.environ().get("MATCHDAY_VAR") == var or any(var in word for word in process.cmdline())
        except (psutil.Error, OSError):
            return False


@pytest.fixture
def var(run_directory: Path) -> Path:
    var = run_directory / f"demo-{free_port()}"
    var.mkdir()
    return var


@pytest.fixture
def demo(var: Path, request: pytest.FixtureRequest) -> Iterator[Demo]:
    """A demo that has just been begun; `seconds` of selling are the fixture's parameter."""
    environment = {**os.environ, "MATCHDAY_VAR": str(var), "DEMO_SECONDS": str(request.param), "DEMO_SITES": "2"}
    with (var / "demo.out").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "matchday.demo"],
            cwd=CHECKOUT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    running = Demo(var, process)
    yield running
    if process.poll() is None:
        process.kill()
        process.wait()
    for left in running.left_over():
        with contextlib.suppress(psutil.Error):
            left.kill()


@pytest.mark.parametrize("demo", [15], indirect=True)
def test_sites_and_partners_sell_one_inventory_and_the_audit_holds(demo: Demo) -> None:
    assert demo.end() == 0, demo.output
    assert "the audit holds" in demo.output
    assert "NOT" not in demo.output
    sold = demo.sold()
    assert {"demo-atlas", "demo-borealis", "kiosk"} <= sold.keys()
    assert any(name.startswith("synthetic-") for name in sold)
    assert not demo.left_over()
    assert not list(demo.var.glob("*/data/*"))


@pytest.mark.parametrize("demo", [600], indirect=True)
def test_killing_a_sites_reservations_loses_nothing_and_ctrl_c_ends_the_sale_with_an_audit(demo: Demo) -> None:
    demo.wait_for("sales  partners")
    for _ in range(2):
        before = sum(demo.sales())
        eventually(lambda least=before: sum(demo.sales()) > least, SALES_SECONDS, "tickets are sold")  # type: ignore[misc]
        pid = demo.pid_of("demo-atlas", "reservations")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        eventually(
            lambda old=pid: demo.pid_of("demo-atlas", "reservations") not in (None, old),  # type: ignore[misc]
            SALES_SECONDS,
            "reservations runs again",
        )
    atlas = demo.sales()[0]
    eventually(lambda: demo.sales()[0] > atlas, SALES_SECONDS, "the site sells again")
    demo.interrupt()
    assert demo.end() == 0, demo.output
    assert "the audit holds" in demo.output
    assert not demo.left_over()


@pytest.mark.parametrize("demo", [600], indirect=True)
@pytest.mark.parametrize("moment", ["starting", "processes.jsonl", "site.json"])
def test_ctrl_c_while_it_starts_takes_everything_down(demo: Demo, moment: str) -> None:
    demo.wait_for("starting")
    if moment != "starting":
        eventually(lambda: bool(list(demo.var.glob(f"demo-atlas/**/{moment}"))), START_SECONDS, f"{moment} is there")
    demo.interrupt()
    assert demo.end() == 130, demo.output
    assert not demo.left_over()


@pytest.mark.parametrize("demo", [5], indirect=True)
def test_ctrl_c_during_the_audit_takes_everything_down(demo: Demo) -> None:
    demo.wait_for("the audit waits")
    demo.interrupt()
    code = demo.end()
    assert code == 130 or (code == 0 and "the audit holds" in demo.output), demo.output
    assert not demo.left_over()
