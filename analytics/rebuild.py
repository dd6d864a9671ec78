"""`python -m analytics.rebuild ADDRESS`: the lake written anew from the topics alone, beside the one that is there.

What is read stays as it is. When it is done, `LAKE_URI` becomes ADDRESS, the processes of analytics are started again,
and whatever came meanwhile follows from the new lake's own positions. Who has asked to be forgotten is left out.
"""

import sys

import click

from analytics.ingest.writer import LakeWriter
from analytics.lake.lake import Lake
from analytics.lake.sizes import sizes
from analytics.settings import LakeSettings, WriterSettings
from shared import logs, memory
from shared.clock import SystemClock
from shared.database import Busy, Database
from shared.errors import DependencyUnavailable
from shared.settings import load

WAIT_SECONDS = 1.0


def rebuild(settings: WriterSettings, database: Database, address: str) -> Lake:
    """Writes until nothing is left; returns the new lake. Raises `Busy` when somebody writes there already."""
    place = settings.model_copy(update={"lake_uri": LakeSettings.model_validate({"lake_uri": address}).lake_uri})
    lake = Lake(place.lake_uri, place.storage())
    writer = LakeWriter(database, lake, SystemClock(), place)
    try:
        with database.alone(f"lake {lake.uri}", WAIT_SECONDS):
            writer.fill()
    finally:
        writer.close()
    return lake


@click.command()
@click.argument("address")
def main(address: str) -> None:
    """Write the lake anew at ADDRESS, a folder or s3://bucket/path."""
    settings = load(WriterSettings)
    logs.configure("analytics-rebuild", settings.log_level)
    memory.settle()
    database = Database(settings, "analytics-rebuild")
    try:
        lake = rebuild(settings, database, address)
    except (Busy, DependencyUnavailable, ValueError) as error:
        click.echo(f"not written: {error}", err=True)
        sys.exit(1)
    finally:
        database.close()
    for size in sizes(lake):
        click.echo(f"{size.name}: {size.rows} rows in {size.files} files, {size.bytes} bytes")
    click.echo(f"now set LAKE_URI={address} and start analytics and analytics-writer again")


if __name__ == "__main__":
    main()
