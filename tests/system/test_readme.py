"""The README's walk, run as it is printed: every shell block in order, each with the output that stands below it.

Only what differs from run to run is overlooked: ids, tokens and the moments of a sale. Ports and folders are others,
so that a site of the developer's is left alone. `python -m tests.system.test_readme` writes the outputs anew.
"""

import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from matchday.paths import CHECKOUT
from matchday.ports import free_port
from tests.eventually import eventually
from tests.offsets import free_port_offset

README = CHECKOUT / "README.md"
WALK = re.compile(r"## A purchase by hand\n.*?(?=\n## The way of the data)", re.DOTALL)
BLOCK = re.compile(r"```sh\n(?P<shell>.*?)```(?:\n\n```(?:text|json)\n(?P<output>.*?)```)?", re.DOTALL)
SERVICE_PORT = re.compile(r"\b3[01][0-6]0\b")
HELPERS = {"12111": "stripe-standin", "18025": "mailbox"}  # whose ports are others when these are taken
CHANGES_SOMETHING = re.compile(r"curl .*-X|\bsend\b|^make |\w=\$\(", re.MULTILINE)
VARYING = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"<uuid>\.[\w-]{43}"), "<token>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z"), "<moment>"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "<request>"),
)
UP_SECONDS = 120
SEEN_SECONDS = 10.0
SETTLED_SECONDS = 1.0
SECOND_SITE_OFFSET = 100
END = "--- end of block, status "


@dataclass(frozen=True)
class Step:
    """A shell block and what stands below it."""

    shell: str
    output: str


def steps(text: str) -> list[Step]:
    walk = WALK.search(text)
    assert walk is not None
    return [Step(block["shell"], block["output"] or "") for block in BLOCK.finditer(walk[0])]


class Walker:
    """Somebody who types the README's blocks into one shell, beside a site on other ports."""

    def __init__(self, var: Path) -> None:
        self.var = var
        self.offset = free_port_offset(SECOND_SITE_OFFSET)
        taken = ("SITE", "DATABASE_URL", "REDIS_URL", "KAFKA_BOOTSTRAP_SERVERS", "MASTERLIST", "ORGANISER")
        kept = {name: value for name, value in os.environ.items() if name not in taken}
        self.environment = {**kept, "MATCHDAY_VAR": str(var), "PORT_OFFSET": str(self.offset), "NO_PROXY": "localhost"}
        # Under `make test` a make of the page would speak as a make within a make.
        self.environment = {name: value for name, value in self.environment.items() if not name.startswith("MAKE")}
        self.broker = ""
        self.addresses: dict[str, str] = {}
        self.shell: subprocess.Popen[str] | None = None

    def up(self) -> None:
        """The README's `make up`, in the background, and a second terminal."""
        up = self._make("up", DETACH="1")
        assert up.returncode == 0, up.stdout + up.stderr
        document = json.loads((self.var / "matchday" / "site.json").read_text("utf-8"))
        self.broker = document["addresses"]["KAFKA_BOOTSTRAP_SERVERS"]
        self.addresses = {process["name"]: process["address"] for process in document["processes"]}
        self.shell = subprocess.Popen(
            ["sh"],
            cwd=CHECKOUT,
            env={**self.environment, "KAFKA_BOOTSTRAP_SERVERS": self.broker},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _make(self, target: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        environment = {**self.environment, **settings}
        return subprocess.run(
            ["make", target], cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=UP_SECONDS
        )

    def here(self, shell: str) -> str:
        """The block for this site's ports and folders."""
        shell = SERVICE_PORT.sub(lambda port: str(int(port[0]) + self.offset), shell)
        for port, name in HELPERS.items():
            shell = shell.replace(f"localhost:{port}", self.addresses[name])
        shell = shell.replace("PORT_OFFSET=100", f"PORT_OFFSET={self.offset + SECOND_SITE_OFFSET}")
        return shell.replace("127.0.0.1:19092", self.broker).replace("var/matchday/", f"{self.var}/matchday/")

    def type(self, shell: str) -> str:
        """Runs a block; its output. It must succeed."""
        process = self.shell
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f'{self.here(shell)}\necho "{END}$?"\n')
        process.stdin.flush()
        lines: list[str] = []
        for line in process.stdout:
            before, end, status = line.partition(END)
            lines.append(before)
            if end:
                assert status.strip() == "0", f"{shell}\nended with {status}: {''.join(lines)}"
                return "".join(lines)
        raise AssertionError(f"the shell ended in\n{shell}")

    def down(self) -> None:
        if self.shell is not None:
            self.shell.kill()
            self.shell.wait()
            for pipe in (self.shell.stdin, self.shell.stdout):
                if pipe is not None:
                    pipe.close()
        self._make("down", SITE="atlas")
        self._make("down")


@contextmanager
def walking(var: Path) -> Iterator[Walker]:
    walker = Walker(var)
    try:
        walker.up()
        yield walker
    finally:
        walker.down()


def stable(output: str) -> str:
    for pattern, name in VARYING:
        output = pattern.sub(name, output)
    return output.strip()


def follow(walker: Walker, step: Step) -> None:
    """Runs one block; a look is repeated for a while, since what is shown may be a fifth of a second old."""

    def fits() -> bool:
        assert stable(walker.type(step.shell)) == stable(step.output), step.shell
        return True

    if CHANGES_SOMETHING.search(step.shell):
        fits()
    else:
        eventually(fits, SEEN_SECONDS, step.shell)


def test_the_readme_s_commands_do_what_it_shows(run_directory: Path) -> None:
    var = run_directory / f"readme-{free_port()}"
    var.mkdir()
    with walking(var) as walker:
        for step in steps(README.read_text("utf-8")):
            follow(walker, step)


def test_every_shell_block_of_the_readme_is_in_the_walk() -> None:
    text = README.read_text("utf-8")
    assert text.count("```sh\n") == len(steps(text)) >= 10


def write_outputs() -> None:
    """Takes the walk and writes what came out into the README."""
    with tempfile.TemporaryDirectory() as folder, walking(Path(folder)) as walker:
        text = BLOCK.sub(lambda block: _with_output(walker, block["shell"]), README.read_text("utf-8"))
    README.write_text(text, "utf-8")


def _with_output(walker: Walker, shell: str) -> str:
    time.sleep(SETTLED_SECONDS)
    output = walker.type(shell).strip()
    kind = "json" if output.startswith("{") else "text"
    return f"```sh\n{shell}```" + (f"\n\n```{kind}\n{output}\n```" if output else "")


if __name__ == "__main__":
    write_outputs()
