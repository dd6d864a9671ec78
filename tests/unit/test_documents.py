"""What the pages name exists, and what should be named in them is."""

import re
from pathlib import Path

import click
import pytest
from prometheus_client import REGISTRY

import analytics.tables
import payments.tables
import reservations.tables
import reservations.waiting_room.tables
import security.tables
import shared.metrics  # noqa: F401 - registers the metrics
import shop.inventory.tables
import shop.listings.tables
import shop.search.tables
import users.tables
from matchday.cli import main
from matchday.paths import CHECKOUT
from matchday.processes import PROCESSES, STAND_INS
from matchday.runner import GIVEN_BY
from matchday.settings_by_hand import DEMO
from matchday.settings_reference import variables
from reservations import worker
from shared import outbox, relay, serve
from shared.http import body
from shop_consumer import consumer

PAGES = [CHECKOUT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (CHECKOUT / "docs").rglob("*.md")
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
FILE = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|md|yaml|yml|json|toml|lock|sh))`")
CODE = re.compile(r"```.*?```", re.DOTALL)
ARCHITECTURE = (CHECKOUT / "docs" / "architecture.md").read_text("utf-8")
FOLDERS = ("shared", "shop", "shop_consumer", "reservations", "users", "security", "payments", "analytics")
OPERATIONS = (CHECKOUT / "docs" / "operations.md").read_text("utf-8")
STATUS = re.compile(r"^site matchday is up\n(.*?)^the consumer is", re.DOTALL | re.MULTILINE)
WITH_DEFAULT = re.compile(r"`([A-Z][A-Z_]+)` \(([0-9,]+)\)")
DEFAULTS = {variable.name: variable.default for _, _, section in variables() for variable in section}
DEFAULTS |= {variable.name: variable.default for variable in DEMO}


def name_of(page: Path) -> str:
    return str(page.relative_to(CHECKOUT))


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(CODE.sub("", page.read_text("utf-8"))):
        if target.startswith(("https://", "http://localhost")):
            continue
        file, _, anchor = target.partition("#")
        other = (page.parent / file).resolve() if file else page
        assert other.exists(), target
        if anchor:
            assert anchor in anchors(other), target


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_that_is_named_exists(page: Path) -> None:
    for name in FILE.findall(page.read_text("utf-8")):
        places = (CHECKOUT, page.parent, CHECKOUT / "shop" / "inventory")
        assert name.startswith("var/") or any((place / name).exists() for place in places), name


def test_every_metric_is_described() -> None:
    suffix = {"counter": "_total"}
    ours = {
        metric.name + suffix.get(metric.type, "")
        for metric in REGISTRY.collect()
        if metric.name.startswith("matchday_")
    }
    assert set(re.findall(r"^\| `(matchday_\w+)`", OPERATIONS, re.MULTILINE)) == ours


def test_every_table_has_its_owner() -> None:
    known = {
        table.fullname
        for metadata in (
            analytics.tables.metadata,
            shop.inventory.tables.metadata,
            shop.listings.tables.metadata,
            shop.search.tables.metadata,
            reservations.tables.metadata,
            reservations.waiting_room.tables.metadata,
            payments.tables.metadata,
            security.tables.metadata,
            users.tables.metadata,
        )
        for table in metadata.tables.values()
    }
    assert set(re.findall(r"^\| `(\w+\.\w+)` \| `", ARCHITECTURE, re.MULTILINE)) == known


def test_every_process_is_described() -> None:
    for spec in PROCESSES:
        assert f"| `{spec.name}` | `python -m {spec.module}` | {spec.port or ''}" in ARCHITECTURE


def test_every_process_says_which_threads_and_connections_it_has() -> None:
    _, found, table = ARCHITECTURE.partition("| process | threads beside those of HTTP |")
    assert found
    told = re.findall(r"^\| `([a-z-]+)` \|", table.partition("\n\n")[0], re.MULTILINE)
    assert sorted(told) == sorted(spec.name for spec in PROCESSES)


@pytest.mark.parametrize("page", ["README.md", "docs/operations.md"])
def test_the_status_that_is_shown_is_of_all_processes(page: str) -> None:
    shown = STATUS.search((CHECKOUT / page).read_text("utf-8"))
    assert shown is not None
    names = re.findall(r"^  ([a-z-]+) +(?:ready|running) ", shown[1], re.MULTILINE)
    assert names == [*(spec.name for spec in (*PROCESSES, *STAND_INS)), *GIVEN_BY]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_default_that_is_named_is_that_of_the_code(page: Path) -> None:
    for name, number in WITH_DEFAULT.findall(page.read_text("utf-8")):
        assert DEFAULTS[name].partition(";")[0] == f"`{number.replace(',', '')}`", name


def test_every_command_of_the_operator_is_described() -> None:
    for command in main.list_commands(click.Context(main)):
        assert f"matchday {command}" in OPERATIONS or f"`make {command}" in OPERATIONS, command


def test_every_event_to_search_for_is_logged() -> None:
    section = OPERATIONS.partition("Events worth a search")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    code = "".join(path.read_text("utf-8") for folder in FOLDERS for path in (CHECKOUT / folder).rglob("*.py"))
    for event in re.findall(r"`(\w+)`", "".join(rows)):
        assert f'"{event}"' in code, event


@pytest.mark.parametrize(
    "words",
    [
        f"reads up to {relay.BATCH_MESSAGES} unsent messages",
        f"lease to end ({relay.LEASE_SECONDS:g} s), settles ({relay.SETTLE_SECONDS:g} s)",
        f"| {worker.BATCH} | the next look, at once |",
        f"after {worker.KEEP_KEYS.total_seconds() / 3600:g} hours",
        f"{outbox.KEEP_PUBLISHED_HOURS // 24 == 1 and 'a day'} after it was sent",
        f"{serve.HEAD_BYTES_MAX // 1024} KiB, within {serve.HEADER_SECONDS_MAX} s",
        f"{serve.IDLE_CONNECTIONS_MAX:,} beside the working ones",
        f"{serve.STOP_SECONDS_MAX} s for what is in flight",
        f"`overloaded` after {body.SLOT_SECONDS_MAX:g} s",
        f"pauses of {consumer.RETRY_SECONDS_MIN:g} to {consumer.RETRY_SECONDS_MAX:g} s",
        f"with code {consumer.BUG_EXIT_CODE}",
    ],
)
def test_numbers_in_the_architecture_are_those_of_the_code(words: str) -> None:
    assert words in ARCHITECTURE
