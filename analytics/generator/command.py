"""The command: simulates, and puts what is told into the topics or a lake."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import click

from analytics.generator import files
from analytics.generator.parameters import SIZES
from analytics.generator.records import Told
from analytics.generator.simulation import simulate
from analytics.generator.topics import (
    LogFollower,
    NoSuchTopic,
    RealSales,
    TopicSink,
    in_chunks,
    read_masterlist,
    refuse_real_sales,
)
from analytics.lake.lake import Lake
from analytics.settings import LakeCommandSettings
from shared.errors import BrokerUnavailable
from shared.masterlist import MatchEntry, parse_masterlist
from shared.settings import CommonSettings, KafkaSettings, load
from shared.wire import Refused


@click.command("synthetic")
@click.option("--size", type=click.Choice(list(SIZES)), default="small", show_default=True, help="How many buyers.")
@click.option("--buyers", type=click.IntRange(1, 1_000_000), help="Another number of buyers than the size has.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="The same seed tells the same.")
@click.option("--to", "sink", type=click.Choice(["topics", "lake"]), default="topics", show_default=True)
@click.option("--follow-log", is_flag=True, help="Obey the verdicts of the log that is written to: for topics in use.")
@click.option(
    "--masterlist",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of matches; else the master list's topic is read.",
)
@click.option("--force", is_flag=True, help="Also where people buy. What is in a log stays there.")
def generate(
    size: str, buyers: int | None, seed: int, sink: str, follow_log: bool, masterlist: Path | None, force: bool
) -> None:
    """Simulate buyers, and put their sales and events into the topics or a lake.

    Addresses are settings: KAFKA_BOOTSTRAP_SERVERS, LAKE_URI and so on. What is made is labelled synthetic.
    """
    environment = click.get_current_context().obj or os.environ
    parameters = SIZES[size] if buyers is None else replace(SIZES[size], buyers=buyers)
    try:
        if sink == "lake":
            place = load(LakeCommandSettings, environment)
            _check_place(place, force)
            matches = _matches(masterlist, environment)
            lake = Lake(place.lake_uri, place.storage())
            run = f"{parameters.buyers}-buyers-seed-{seed}"
            rows = files.append(lake, matches, run, simulate(matches, parameters, seed), parameters.currency)
            _say(to=place.lake_uri, run=run, rows=rows)
        else:
            settings = load(KafkaSettings, environment)
            matches = _matches(masterlist, environment)
            _publish(settings, matches, simulate(matches, parameters, seed), follow_log=follow_log, force=force)
    except (RealSales, NoSuchTopic, files.AlreadyThere, BrokerUnavailable, Refused) as error:
        raise click.ClickException(str(error)) from error


def _check_place(place: CommonSettings, force: bool) -> None:
    if place.environment == "prod" and not force:
        raise RealSales("ENVIRONMENT is prod: figures of real sales would be mixed with synthetic ones")


def _matches(file: Path | None, environment: Mapping[str, str]) -> Sequence[MatchEntry]:
    if file is not None:
        return parse_masterlist(file.read_bytes())
    settings = load(KafkaSettings, environment)
    if found := read_masterlist(settings):
        return found
    raise click.ClickException(f"topic {settings.masterlist_topic} has no matches: give --masterlist FILE")


def _publish(
    settings: KafkaSettings, matches: Sequence[MatchEntry], told: Iterator[Told], *, follow_log: bool, force: bool
) -> None:
    if not force:
        refuse_real_sales(settings)
    with ExitStack() as stack:
        follower = stack.enter_context(LogFollower(settings, matches)) if follow_log else None
        if follower is not None:
            follower.catch_up()
        sink = stack.enter_context(TopicSink(settings, follower, forced=force))
        for chunk in in_chunks(told, cut_at_verdicts=follow_log):
            sink.send(chunk)
        _say(to=settings.sales_topic, messages=sink.messages, events=sink.events, lost=sink.lost)


def _say(**what: object) -> None:
    click.echo(json.dumps(what))
