"""The published JSON Schemas, loaded once for the contract tests."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

DOCS = Path(__file__).parents[2] / "docs"
GOLDEN = Path(__file__).parent / "golden"
SCHEMAS = sorted((DOCS / "schemas").glob("*.schema.json"))


def load(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def validator(name: str) -> Draft202012Validator:
    """The validator of a published schema; formats are checked too."""
    schema = load(DOCS / "schemas" / f"{name}.schema.json")
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
