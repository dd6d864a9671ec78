"""A log in which nobody has written for long: the first hold after it lasts as long as any other."""

import asyncio
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from matchday.run import Run
from matchday.servers import Kafka, Postgres, Valkey
from tests.eventually import eventually
from tests.system.federation.conftest import _create_dated, _members, _topics
from tests.system.federation.members import Federation, Member
from tests.system.federation.partner import Place

HOUR_MS = 3_600_000
SILENCE_HOURS = 31


@pytest.fixture(scope="module")
def silent(servers: tuple[Postgres, Valkey, Kafka], server_run: Run, _template: str) -> Iterator[Federation]:
    """A federation with the usual life of a hold, an hour."""
    topics = _topics()
    asyncio.run(_create_dated(servers[2], topics))
    with _members(servers, server_run, _template, topics) as federation:
        federation.ticking = False
        yield federation


def submit(federation: Federation, match: int, category: int) -> dict[str, Any]:
    answer = federation.ours.site.client("reservations").post(
        "/api/reservations?wait=15",
        json={"matchNumber": match, "category": category, "quantity": 2, "email": "a@b.example"},
    )
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def confirm(federation: Federation, reservation: dict[str, Any]) -> None:
    path = f"/internal/reservations/{reservation['id']}/confirm"
    answer = federation.ours.site.client("reservations").post(path, headers=federation.ours.site.operator())
    assert answer.status_code == 200, answer.text


def sold_in_log(member: Member) -> bool:
    return member.in_log(1)[1] == (0, 2)


def test_a_hold_after_a_long_silence_is_born_now_and_can_be_sold(silent: Federation) -> None:
    now_ms = int(time.time() * 1000)
    last: Place = silent.send(b"tick", key=b"1-1", timestamp_ms=now_ms - SILENCE_HOURS * HOUR_MS)
    silent.settle()
    reservation = submit(silent, 1, 1)
    assert (reservation["status"], reservation["logPosition"]["partition"]) == ("held", last.partition)
    # With a clock that is hours behind, each of these would move it by an hour, and end the hold.
    for number in range(3):
        silent.send(b"tick", partition=last.partition, timestamp_ms=now_ms + 20_000 + number)
    silent.expect(1, c1=(20, 18, 20))
    confirm(silent, reservation)
    for member in silent.members:
        eventually(partial(sold_in_log, member), what=f"sold in the log of {member.client_id}")
    silent.expect(1, c1=(20, 18, 18))
    assert silent.ours.flags(1) == silent.other.flags(1) == []
    assert reservation["logPosition"]["offset"] == last.offset + SILENCE_HOURS + 2


def test_the_next_hold_needs_nothing_before_it(silent: Federation) -> None:
    first = submit(silent, 1, 1)
    second = submit(silent, 1, 1)
    assert second["logPosition"]["offset"] == first["logPosition"]["offset"] + 1
