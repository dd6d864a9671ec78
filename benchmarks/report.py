"""What a benchmark found: one Markdown page for people, the same with all raw numbers as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Table:
    """One table; the first column is text, the others are numbers."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        rule = ["---", *("---:" for _ in self.columns[1:])]
        lines = [_line(self.columns), _line(rule), *map(_line, self.rows)]
        return "\n".join([f"**{self.caption}**", "", *lines])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


@dataclass(slots=True)
class Report:
    """The result of one benchmark. `method`: how it was measured; `limits`: what limits it, by the measurements."""

    name: str
    title: str
    method: list[str]
    tables: list[Table] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    raw: list[dict[str, Any]] = field(default_factory=list)

    def markdown(self, facts: Mapping[str, str]) -> str:
        parts = [f"# {self.title}", *self.method]
        parts += [table.markdown() for table in self.tables]
        parts += [_list("Findings", self.findings), _list("What limits it", self.limits)]
        parts.append(_list("Machine", [f"{name}: {value}" for name, value in facts.items()]))
        return "\n\n".join(part for part in parts if part) + "\n"

    def json(self, facts: Mapping[str, str]) -> str:
        content = {
            "benchmark": self.name,
            "machine": dict(facts),
            "findings": self.findings,
            "limits": self.limits,
            "runs": self.raw,
        }
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    def write(self, directory: Path, facts: Mapping[str, str]) -> None:
        """Overwrites the benchmark's page and its numbers."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{self.name}.md").write_text(self.markdown(facts), "utf-8")
        (directory / f"{self.name}.json").write_text(self.json(facts), "utf-8")


def _list(title: str, items: Sequence[str]) -> str:
    return f"## {title}\n\n" + "\n".join(f"- {item}" for item in items) if items else ""
