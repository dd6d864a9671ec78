"""Declaring routes: what a handler takes and gives is read from its signature and written into the document.

A handler's parameters are found by name: `wiring` (what the service's `app.py` made), `caller` (who is calling),
`address` (where from, for a route that must not care who), `body`, `query`, `headers` (models), and the variables of
the path (`{matchNumber}` arrives as `match_number`). Each is checked before the handler runs, so that a handler is:
call one use case, answer.
"""

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, cast

from flask import Response, request
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from shared import errors
from shared.http.actions import ActionBook
from shared.http.body import BodyReader
from shared.http.callers import PUBLIC, SAFE_METHODS, Access, Caller, RateClass, Seal
from shared.http.validation import TextFields, text_form

JSON = "application/json"
ROUTE_KEY = "matchday.route"  # where in the WSGI environment the route's template is left for the metrics
NO_ROUTE = "(none)"  # what a path that leads nowhere is counted as
LOCATION = {"Location": "Path of what was made."}
ETAG = {"ETag": "Of this content; to be sent back as `If-None-Match`."}
ADMINS = frozenset({"admin"})
F = TypeVar("F", bound=Callable[..., Any])


class Guard(Protocol):
    """The door: the caller, or what keeps the request out."""

    def __call__(self, route: "Route", *, vouched: bool = False) -> Caller: ...


_VARIABLE = re.compile(r"\{([A-Za-z][A-Za-z0-9]*)\}")


@dataclasses.dataclass(frozen=True)
class Answer:
    """One way in which a route answers when nothing went wrong."""

    description: str
    model: type[BaseModel] | None = None
    media_type: str = JSON
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)  # name → description


@dataclasses.dataclass(frozen=True)
class Route:
    """A declared route; `Endpoint` is what serves it."""

    method: str
    path: str
    handler: Callable[..., Any]
    tag: str
    answers: Mapping[int, Answer]
    raises: tuple[type[errors.MatchdayError], ...]
    access: Access = PUBLIC
    limit: RateClass = "read"
    operator: bool = False
    body_schema: Mapping[str, Any] | None = None
    reads_identity: bool = False  # whether it matters here who is signed in
    fresh: bool = False  # whether an account must have given its password a moment ago
    audited: bool = False  # whether each call is an entry in the log of what admins and the operator did
    seal: Seal | None = None

    @property
    def opens_to_services(self) -> bool:
        """Whether the door lets the service token in, beside accounts with a role."""
        return self.access.services and self.access.kind == "signed_in"

    @property
    def internal(self) -> bool:
        """Whether only our own services and the operator may call it."""
        return self.operator or self.path.startswith("/internal/")

    @property
    def variables(self) -> list[str]:
        return _VARIABLE.findall(self.path)

    @property
    def flask_rule(self) -> str:
        return _VARIABLE.sub(r"<\1>", self.path)

    @property
    def success(self) -> int:
        """The usual status."""
        return next(iter(self.answers))

    @property
    def name(self) -> str:
        """camelCase name of the operation."""
        return to_camel(self.handler.__name__.strip("_"))


class Routes:
    """The routes of one part of a service."""

    def __init__(self, tag: str, description: str = "") -> None:
        self.tag = tag
        self.description = description
        self.routes: list[Route] = []

    def get(self, path: str, **declared: Any) -> Callable[[F], F]:
        return self.route("GET", path, **declared)

    def post(self, path: str, **declared: Any) -> Callable[[F], F]:
        return self.route("POST", path, **declared)

    def put(self, path: str, **declared: Any) -> Callable[[F], F]:
        return self.route("PUT", path, **declared)

    def patch(self, path: str, **declared: Any) -> Callable[[F], F]:
        return self.route("PATCH", path, **declared)

    def delete(self, path: str, **declared: Any) -> Callable[[F], F]:
        return self.route("DELETE", path, **declared)

    def route(
        self,
        method: str,
        path: str,
        *,
        answer: type[BaseModel] | Answer | None = None,
        status: int = 200,
        sends: Mapping[str, str] | None = None,
        also: Mapping[int, Answer] | None = None,
        raises: Sequence[type[errors.MatchdayError]] = (),
        access: Access = PUBLIC,
        limit: RateClass | None = None,
        operator: bool = False,
        fresh: bool = False,
        audited: bool | None = None,
        body_schema: Mapping[str, Any] | None = None,
        seal: Seal | None = None,
    ) -> Callable[[F], F]:
        """Declares a route: its usual answer and status, other answers, and the errors of its use case.

        `access` says who may call; routes below /internal, and those for the `operator`, need the service token
        instead. `sends` are headers of the usual answer, with what they say. `limit` names the rate class that the
        gate counts the request in: "read" for what only reads and "write" for the rest, unless said otherwise.
        `fresh` asks an account for its password of the last minutes: for what moves money or gives rights. What only
        admins may change is `audited` by itself; what the operator changes by the service token says so.
        `body_schema` documents a body that the handler takes as bytes, to read it in a more liberal way of its own;
        whose body bears a good `seal` passes the gate unasked.

        Errors of reading the request (malformed, invalid, unknown path variable, missing token) are added
        by themselves. The handler's docstring becomes the documentation: first line, then the rest.
        """
        usual = answer if isinstance(answer, Answer) else Answer(_describe(answer, status), answer, headers=sends or {})

        def declare(handler: F) -> F:
            answers = {status: usual, **(also or {})}
            rate_class = limit or _rate_class(method, path, operator)
            minds = _minds(access, handler)
            is_audited = _is_for_admins(method, access) if audited is None else audited
            self.routes.append(
                Route(
                    method, path, handler, self.tag, answers, tuple(raises), access, rate_class, operator, body_schema,
                    minds, fresh, is_audited, seal,
                )
            )  # fmt: skip
            return handler

        return declare


def _minds(access: Access, handler: Callable[..., Any]) -> bool:
    if access.kind == "public":
        return "caller" in inspect.signature(handler).parameters
    return access.kind != "credential"


def _is_for_admins(method: str, access: Access) -> bool:
    return method not in SAFE_METHODS and access.roles == ADMINS


def _rate_class(method: str, path: str, operator: bool) -> RateClass:
    if operator or path.startswith("/internal/"):
        return "internal"
    return "read" if method in SAFE_METHODS else "write"


def _describe(model: type[BaseModel] | None, status: int) -> str:
    if model is None:
        return "Nothing to say" if status == 204 else "Done"
    return (model.__doc__ or model.__name__).strip().splitlines()[0]


class Endpoint:
    """A route made ready to serve: its signature looked through once, so that a request costs little."""

    def __init__(self, route: Route, wiring: object, guard: Guard, bodies: BodyReader, actions: ActionBook) -> None:
        self.route = route
        self._actions = actions
        self._guard = guard
        self._bodies = bodies
        self.hints = typing.get_type_hints(route.handler, include_extras=True)
        self.parameters = list(inspect.signature(route.handler).parameters)
        self._check_parameters()
        self._wiring = {"wiring": wiring} if "wiring" in self.parameters else {}
        self.takes_caller = "caller" in self.parameters
        self.takes_address = "address" in self.parameters
        self.takes_bytes = self.hints.get("body") is bytes
        self.body = None if self.takes_bytes else self._model("body")
        self.body_may_miss = self.body is not None and self.hints["body"] is not self.body
        self.query = self._model("query")
        self.headers = self._model("headers")
        self._query = TextFields(self.query, "parameter") if self.query else None
        self._headers = TextFields(self.headers, "header") if self.headers else None
        self._path = [self._path_reader(variable) for variable in route.variables]

    def path_annotation(self, variable: str) -> Any:
        """The declared type of a path variable."""
        return self.hints[_snake(variable)]

    def __call__(self, **path: str) -> Response:
        """Serves one request."""
        request.environ[ROUTE_KEY] = self.route.path
        caller, sealed = self._enter()
        arguments: dict[str, Any] = dict(self._wiring)
        if self.takes_caller:
            arguments["caller"] = caller
        if self.takes_address:
            arguments["address"] = caller.address
        for variable, name, read in self._path:
            arguments[name] = read(path[variable])
        if self._query is not None:
            arguments["query"] = self._query.from_query(request.environ.get("QUERY_STRING", ""))
        elif request.environ.get("QUERY_STRING"):
            _NO_QUERY.from_query(request.environ["QUERY_STRING"])
        if self._headers is not None:
            arguments["headers"] = self._headers.from_environ(request.environ)
        if self.body is not None:
            read_body = self._bodies.read_json_if_any if self.body_may_miss else self._bodies.read_json
            arguments["body"] = read_body(self.body)
        elif self.takes_bytes:
            arguments["body"] = self._bodies.read_json_bytes() if sealed is None else sealed
        if not self.route.audited:
            return self._answer(arguments)
        body = arguments.get("body")
        with self._actions.entry(self.route.name, caller, body if isinstance(body, BaseModel) else None) as outcome:
            response = self._answer(arguments)
            outcome.status = response.status_code
        return response

    def _answer(self, arguments: dict[str, Any]) -> Response:
        result = self.route.handler(**arguments)
        return result if isinstance(result, Response) else json_answer(result, self.route.success)

    def _enter(self) -> tuple[Caller, bytes | None]:
        """The caller, and the body if it had to be read to know him."""
        seal = self.route.seal
        value = None if seal is None else request.environ.get("HTTP_" + seal.header.upper().replace("-", "_"))
        if seal is None or value is None or not seal.may_hold(self._wiring.get("wiring"), value):
            return self._guard(self.route), None
        try:
            body = self._bodies.read_json_bytes()
        except errors.MatchdayError:
            self._guard(self.route)
            raise
        return self._guard(self.route, vouched=seal.holds(self._wiring.get("wiring"), value, body)), body

    def _model(self, name: str) -> type[BaseModel] | None:
        """The model of a parameter; a body that may be left out is declared as `Model | None`."""
        if name not in self.parameters:
            return None
        options = [kind for kind in typing.get_args(self.hints[name]) if kind is not types.NoneType]
        return cast(type[BaseModel], options[0] if options else self.hints[name])

    def _path_reader(self, variable: str) -> tuple[str, str, Callable[[str], Any]]:
        annotation = self.path_annotation(variable)
        adapter, form = TypeAdapter(annotation), text_form(annotation)

        def read(text: str) -> Any:
            # A path that cannot name anything names nothing.
            if "\0" in text or (form is not None and not form.fullmatch(text)):
                raise errors.NotFound
            try:
                return adapter.validate_python(text)
            except ValidationError:
                raise errors.NotFound from None

        return variable, _snake(variable), read

    def _check_parameters(self) -> None:
        known = {"wiring", "caller", "address", "body", "query", "headers", *map(_snake, self.route.variables)}
        unknown = set(self.parameters) - known
        missing = set(map(_snake, self.route.variables)) - set(self.parameters)
        if unknown or missing:
            raise TypeError(f"{self.route.handler.__qualname__}: unknown {unknown}, missing {missing}")


class _NoQuery(BaseModel):
    model_config = {"extra": "forbid"}


_NO_QUERY = TextFields(_NoQuery, "parameter")


def json_answer(
    content: BaseModel | bytes | None, status: int = 200, headers: Sequence[tuple[str, str]] = ()
) -> Response:
    """A JSON response from a model, from bytes that are JSON already, or an empty one."""
    if content is None:
        response = Response(None, status, list(headers))
        del response.headers["Content-Type"]
        return response
    raw = content if isinstance(content, bytes) else _encode(content)
    return Response(raw, status, list(headers), content_type=JSON)


def _encode(model: BaseModel) -> bytes:
    return model.__pydantic_serializer__.to_json(model, by_alias=True)


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()
