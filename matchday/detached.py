"""`up` in the background: a runner of its own session, followed until its site is up."""

import signal
import subprocess
import sys
from collections.abc import Mapping

import click

from matchday.errors import RunnerError
from matchday.paths import CHECKOUT
from matchday.site import Site, read_document
from matchday.stopping import Stop

POLL_SECONDS = 0.1
STOP_SECONDS = 120.0


def up_detached(site: Site, environment: Mapping[str, str]) -> None:
    """Start the runner in the background and return when the site is up; ctrl-C stops what was begun."""
    site.make_directories()
    log = site.log("up")
    stop = Stop()
    stop.listen()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "matchday", "up"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=CHECKOUT,
            env=dict(environment),
        )
    with log.open("r", encoding="utf-8", errors="replace") as lines:
        while process.poll() is None and not _is_up(site):
            click.echo(lines.read(), nl=False)
            if stop.wait(POLL_SECONDS):
                process.send_signal(signal.SIGTERM)
                process.wait(STOP_SECONDS)
        click.echo(lines.read(), nl=False)
    if process.poll() is not None:
        raise RunnerError(f"site {site.name} did not come up (see {log})")


def _is_up(site: Site) -> bool:
    document = read_document(site)
    return document is not None and document["state"] == "up"
