"""The threat model names tests that exist."""

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PAGE = (CHECKOUT / "docs" / "threat-model.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)))


def test_each_attack_names_a_test() -> None:
    rows = [
        line for line in PAGE.partition("## Attacks")[2].partition("\n## ")[0].splitlines() if line.startswith("| ")
    ]
    assert len(rows) > 20
    for row in rows[1:]:
        assert "::test_" in row, row


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_the_test_is_there(file: str, test: str) -> None:
    assert re.search(rf"^def {test}\(", (CHECKOUT / file).read_text("utf-8"), re.MULTILINE)
