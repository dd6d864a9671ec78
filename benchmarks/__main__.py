"""`python -m benchmarks [names]`: runs benchmarks one after the other and writes what they found."""

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from benchmarks import drain, holds, lake, machine, purchases, reads, recommendations, security, waiting_room
from benchmarks.bed import Bed, started
from benchmarks.report import Report
from matchday.paths import CHECKOUT, VAR

BENCHMARKS: dict[str, Callable[[Bed, bool], Report]] = {
    "drain": drain.run,
    "holds": holds.run,
    "lake": lake.run,
    "reads": reads.run,
    "purchases": purchases.run,
    "recommendations": recommendations.run,
    "security": security.run,
    "waiting_room": waiting_room.run,
}
RESULTS = CHECKOUT / "benchmarks" / "results"
QUICK_RESULTS = VAR / "tests" / "results-of-quick-benchmarks"


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)))
@click.option("--quick", is_flag=True, help="A short run that proves that it works; its numbers mean nothing.")
@click.option("--results", type=click.Path(path_type=Path), help="Where to write; default benchmarks/results.")
def main(names: tuple[str, ...], quick: bool, results: Path | None) -> None:
    """Measure the product beside its baselines, on servers of its own."""
    # As ctrl-C does: the servers are stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    directory = results or (QUICK_RESULTS if quick else RESULTS)
    with started() as bed:
        facts = machine.facts(bed.postgres.url("postgres"), bed.run.directory)
        for name in names or BENCHMARKS:
            begun = time.monotonic()
            report = BENCHMARKS[name](bed, quick)
            report.write(directory, facts)
            click.echo(report.markdown(facts))
            click.echo(f"{name}: {time.monotonic() - begun:.0f} s, written to {directory}", err=True)


if __name__ == "__main__":
    main()
