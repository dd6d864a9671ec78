"""The page for partners names what the code says, and its examples are messages."""

import json
import re
from pathlib import Path

import pytest

from shared import masterlist, wire
from shared.masterlist import parse_masterlist
from shop.inventory import domain, fold
from tests.contract.schemas import DOCS, validator

PAGE = (DOCS / "federation.md").read_text("utf-8")
EXAMPLES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


def source(module: object) -> str:
    return Path(str(getattr(module, "__file__", ""))).read_text("utf-8")


def reasons(module: object) -> set[str]:
    """The reason codes that a module refuses with."""
    code = source(module)
    raised = re.findall(r'(?:Refused|InvalidMasterlist|_wrong)\("([a-z_]+)"', code)
    return {*raised, *re.findall(r'"(bad_[a-z_]+)"', code)}


def kinds() -> set[str]:
    """The kinds of evidence that the fold flags."""
    code = source(fold)
    named = re.findall(r'"((?:duplicate|own|price|quantity|over|reserved_after|cancelled_after|orphan)[a-z_]*)"', code)
    return {*named} - {"reserved", "orphan_"}


@pytest.mark.parametrize("reason", sorted(reasons(wire) | reasons(masterlist) | reasons(fold)))
def test_every_reason_code_is_explained(reason: str) -> None:
    assert f"`{reason}`" in PAGE


@pytest.mark.parametrize("kind", sorted(kinds()))
def test_every_kind_of_evidence_is_explained(kind: str) -> None:
    assert f"| `{kind}` |" in PAGE


def test_the_limits_are_the_ones_of_the_code() -> None:
    for limit in (
        wire.BODY_BYTES_MAX,
        wire.MATCH_NUMBER_MAX,
        masterlist.RECORD_BYTES_MAX,
        masterlist.MATCHES_MAX,
        masterlist.CAPACITY_MAX,
        domain.HOUR_MS,
    ):
        assert f"{limit:,}" in PAGE
    assert f"1 to {wire.LINES_MAX} objects" in PAGE


def test_the_examples_are_valid_messages() -> None:
    ticket, match = EXAMPLES
    validator("ticket-sale").validate(ticket)
    validator("masterlist-match").validate(match)
    assert wire.decode(json.dumps(ticket).encode(), ()).lines[0].quantity == 2
    assert parse_masterlist(json.dumps(match).encode())[0].home_team == "Qatar"


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)]+)\)", PAGE))))
def test_every_link_leads_somewhere(target: str) -> None:
    if not target.startswith("#"):
        assert (DOCS / target).exists()
        return
    headings = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert target.removeprefix("#") in anchors
