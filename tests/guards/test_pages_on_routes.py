"""What the pages say of all routes at once: who needs which role, and where a proxy leads each path."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator

import pytest

from matchday.paths import CHECKOUT
from shared.errors import MatchdayError
from shared.http.openapi import errors_of
from tests.guards.test_routes import OPERATIONS, SERVICES, Operation, every_operation

HTTP = (CHECKOUT / "docs" / "http.md").read_text("utf-8")
BUYING = (CHECKOUT / "docs" / "buying.md").read_text("utf-8")
TOKEN = "or the service token"
WORDS = re.compile(r"`(\w+)`").findall


def rows(page: str, begin: str) -> list[tuple[list[str], str]]:
    """Of the table behind this line: the paths of each first cell, and the second cell."""
    table = page.partition(begin)[2].partition("\n\n")[0]
    cells = [line.strip().strip("|").split("|") for line in table.splitlines()]
    return [(re.findall(r"`(?:[A-Z]+ )?(/[^`]*)`", first), second.strip()) for first, second in cells]


ROLES = {path: told for paths, told in rows(HTTP, "| routes | role |\n  |---|---|\n") for path in paths}
PROXY = {path: told for paths, told in rows(BUYING, "| path | goes to |\n|---|---|\n") for path in paths}


def test_the_tables_are_found() -> None:
    assert len(ROLES) > 10
    assert len(PROXY) > 10


@every_operation
def test_who_needs_a_role_is_told(operation: Operation) -> None:
    route = operation.endpoint.route
    if route.access.roles and not route.internal:
        told = ROLES[route.path]
        assert set(re.findall(r"`(\w+)`", told)) == route.access.roles
        assert told.endswith(TOKEN) == route.access.services


@pytest.mark.parametrize("path", ROLES)
def test_no_role_is_told_of_a_route_that_is_not_there(path: str) -> None:
    assert path in {operation.endpoint.route.path for operation in OPERATIONS}


@every_operation
def test_a_proxy_is_told_where_what_buyers_ask_for_goes(operation: Operation) -> None:
    route = operation.endpoint.route
    if route.internal or route.access.roles or route.limit == "none" or operation.service == "shop_consumer":
        return
    if operation.service == "client":
        return  # "everything else": what the pages' scripts ask is beside the pages
    fitting = [path for path in PROXY if route.path == path or route.path.startswith(f"{path}/")]
    assert fitting, "buyers ask for it, and the page does not say whose it is"
    assert PROXY[max(fitting, key=len)].startswith(f"{operation.service},")


def test_members_of_problems_are_told_with_their_codes() -> None:
    table = HTTP.partition("| member | of |\n|---|---|\n")[2].partition("\n\n")[0]
    lines = [line.strip().strip("|").split("|") for line in table.splitlines()]
    told = {(member, code) for first, second in lines for member in WORDS(first) for code in WORDS(second)}
    shown = [operation.endpoint for operation in OPERATIONS if not operation.endpoint.route.internal]
    kinds = {kind for endpoint in shown for kind in errors_of(endpoint)}
    assert told == {(member, kind.code) for kind in kinds for member in kind.members}


def raised_with_members() -> Iterator[tuple[str, type[MatchdayError], str]]:
    """Each member that a service gives a problem: where, to which one, and its name."""
    for service in SERVICES:
        for path in sorted((CHECKOUT / service).rglob("*.py")):
            module = ".".join(path.relative_to(CHECKOUT).with_suffix("").parts)
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                called = node.exc if isinstance(node, ast.Raise) else None
                if isinstance(called, ast.Call) and isinstance(called.func, ast.Name):
                    kind = getattr(importlib.import_module(module), called.func.id, None)
                    names = [keyword.arg for keyword in called.keywords if keyword.arg is not None]
                    if inspect.isclass(kind) and issubclass(kind, MatchdayError):
                        yield from ((f"{module}:{called.lineno}", kind, name) for name in names)


def test_members_that_a_problem_is_given_are_declared() -> None:
    found = list(raised_with_members())
    assert len(found) > 10
    everywhere = {"retry_after", "errors"}
    assert [each for each in found if each[2] not in {*everywhere, *each[1].members}] == []
