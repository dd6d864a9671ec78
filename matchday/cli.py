"""`matchday`, the operator's command."""

import json
import os
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import click

from matchday.errors import RunnerError
from matchday.operate import (
    ANALYTICS,
    CONSUMER,
    ask_process,
    bring_down,
    is_healthy,
    running_since,
    status_lines,
    status_of,
)
from matchday.site import Site, held, read_document
from matchday.stopping import Stop

FOLLOW_SECONDS = 0.2
EXIT_NOT_UP = 3


class Commands(click.Group):
    """Says what is wrong in one sentence; loads the commands that need Kafka's client only when asked."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RunnerError as error:
            raise click.ClickException(str(error)) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "masterlist"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "masterlist":
            from matchday.masterlist import masterlist

            return masterlist
        return super().get_command(ctx, cmd_name)


@click.group(cls=Commands)
@click.option("--site", metavar="NAME", help="Which site of this machine; default: SITE, or matchday.")
@click.option("--port-offset", metavar="NUMBER", help="Added to every port; default: PORT_OFFSET, or 0.")
@click.pass_context
def main(ctx: click.Context, site: str | None, port_offset: str | None) -> None:
    """Runs and operates one Matchday site on this machine.

    Settings are environment variables: SITE, PORT_OFFSET, DATABASE_URL, REDIS_URL, KAFKA_BOOTSTRAP_SERVERS, ...
    """
    os.environ |= {name: value for name, value in (("SITE", site), ("PORT_OFFSET", port_offset)) if value is not None}
    chosen = Site.from_environment()
    ctx.meta["site"] = chosen
    addresses = (read_document(chosen) or {}).get("addresses", {})
    ctx.obj = {"CLIENT_ID": chosen.name, **addresses, **{n: v for n, v in os.environ.items() if v}}


def _site() -> Site:
    site = click.get_current_context().meta["site"]
    assert isinstance(site, Site)
    return site


@main.command()
@click.option("--detach", is_flag=True, envvar="DETACH", help="Return when the site is up; `matchday down` stops it.")
def up(detach: bool) -> None:
    """Start the site: servers, migrations, topics, master list, services."""
    site = _site()
    if runner := running_since(site):
        click.echo(f"site {site.name} is already run by process {runner.pid}")
        _show_status(site)
    elif detach:
        from matchday.detached import up_detached

        up_detached(site, {**os.environ, "DETACH": ""})
    else:
        _up_here(site)


def _up_here(site: Site) -> None:
    stop = Stop()
    stop.listen()
    from matchday.runner import Runner

    with held(site) as mine:
        if not mine:
            raise RunnerError(f"site {site.name} is being started by somebody else")
        Runner(site, stop).up()


@main.command()
def down() -> None:
    """Stop the site, also what a killed runner left behind."""
    click.echo(bring_down(_site()))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="What site.json holds, with health and lag.")
def status(as_json: bool) -> None:
    """Show processes, servers, health, restarts and lag.

    Exit code: 0 all is well, 1 something is not, 3 the site is not up.
    """
    site = _site()
    found = status_of(site)
    if as_json:
        click.echo(json.dumps(found or {"site": site.name, "state": "down", "processes": []}, indent=2))
    elif found is None:
        click.echo(f"site {site.name} is not up")
    else:
        _show_status(site)
    if found is None:
        sys.exit(EXIT_NOT_UP)
    sys.exit(0 if is_healthy(found) else 1)


def _show_status(site: Site) -> None:
    found = status_of(site)
    click.echo("\n".join(status_lines(found)) if found else f"site {site.name} is starting")


@main.command()
def verify() -> None:
    """Recount everything from the log and compare with the counters; exit code 1 when they differ."""
    answer = ask_process(_site(), CONSUMER, "/api/verify")
    click.echo(json.dumps(answer.body, indent=2))
    if answer.status != 200:
        sys.exit(1)


@main.command()
def refused() -> None:
    """List the records of the log that were refused."""
    _print_answer("/api/refused")


@main.command()
@click.argument("refused_id")
def replay(refused_id: str) -> None:
    """Take the refused record REFUSED_ID once more, e.g. after a mistake of ours was mended."""
    if not refused_id.isalnum() and not refused_id.replace("-", "").isalnum():
        raise RunnerError(f"{refused_id!r} is no id of a refused record")
    _print_answer(f"/api/refused/{refused_id}/replay", "POST")


def _print_answer(path: str, method: str = "GET") -> None:
    answer = ask_process(_site(), CONSUMER, path, method)
    click.echo(json.dumps(answer.body, indent=2))
    if answer.status >= 400:
        sys.exit(1)


@main.group()
def lake() -> None:
    """Look at the data lake, and write it anew."""


@lake.command()
def show() -> None:
    """Tables of the lake: commits, files, bytes and rows."""
    answer = ask_process(_site(), ANALYTICS, "/internal/lake")
    click.echo(json.dumps(answer.body, indent=2))
    sys.exit(0 if answer.status == 200 else 1)


@lake.command()
@click.argument("address")
def rebuild(address: str) -> None:
    """Write the lake anew from the topics alone, at ADDRESS: a folder or s3://bucket/path. The old one stays."""
    from matchday.lake import rebuild_at

    sys.exit(rebuild_at(_site(), address))


@main.group()
def users() -> None:
    """Give roles to accounts, and take them away."""


ROLES = click.Choice(["gate", "partner", "admin"])


@users.command()
@click.argument("email")
@click.argument("role", type=ROLES)
def grant(email: str, role: str) -> None:
    """Give ROLE to the account that has verified EMAIL. Its next access token says so."""
    _change_role(email, role, granted=True)


@users.command()
@click.argument("email")
@click.argument("role", type=ROLES)
def revoke(email: str, role: str) -> None:
    """Take ROLE away again. Access tokens that were given out say the old roles for some minutes."""
    _change_role(email, role, granted=False)


def _change_role(email: str, role: str, *, granted: bool) -> None:
    body = {"email": email, "role": role, "granted": granted}
    answer = ask_process(_site(), "users", "/internal/accounts/roles", "POST", body)
    if answer.status >= 400:
        raise RunnerError(str((answer.body or {}).get("detail") or f"users answers {answer.status}"))
    click.echo(f"{answer.body['email']} is now {', '.join(answer.body['roles'])}")


@main.command()
@click.argument("name")
@click.option("-n", "--lines", default=100, show_default=True, help="How many of the last lines.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on; ctrl-C ends it.")
def logs(name: str, lines: int, follow: bool) -> None:
    """Print the log of the process or server NAME."""
    path = _log_file(_site(), name)
    with path.open("r", encoding="utf-8", errors="replace") as file:
        click.echo("".join(deque(file, maxlen=max(0, lines))), nl=False)
        while follow:
            click.echo(file.read(), nl=False)
            time.sleep(FOLLOW_SECONDS)


def _log_file(site: Site, name: str) -> Path:
    known = {path.stem: path for path in site.logs.glob("*.log")}
    if name not in known:
        raise RunnerError(f"there is no log of {name!r}; there are: {', '.join(sorted(known)) or 'none'}")
    return known[name]
