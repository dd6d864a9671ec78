"""The OpenAPI 3.1 document, built from the declared routes so that it cannot lag behind them."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from shared import VERSION, errors
from shared.http.auth import ServiceTokenGuard
from shared.http.callers import ACCESS_COOKIE, CSRF_HEADER, SAFE_METHODS
from shared.http.models import AnswerModel
from shared.http.problems import PROBLEM_TYPE, problem_type
from shared.http.routes import JSON, Answer, Endpoint, Route, Routes

REF = "#/components/schemas/{model}"
ACCESS_TOKEN = "accessToken"  # noqa: S105 - the name of a scheme
COOKIE = "accessCookie"

NO_NUL = r"^[^\x00]*$"

Json = dict[str, Any]

# What the gate tells of limits, unless it is out of order.
LIMITS = {
    "RateLimit": "What is left: a policy, `r` requests, all again in `t` seconds.",
    "RateLimit-Policy": "The policy: `q` requests at once, all again in `w` seconds.",
}

# How a caller who was challenged goes on; the gate reads both, whatever the route.
CHALLENGE_HEADERS = {
    "X-Challenge-Solution": "A solved challenge of `GET /api/security/challenge`; counts once.",
    "X-Challenge-Pass": "The pass that a solution has earned; pages may leave it to the cookie.",
}

# How requests fail that belong to no operation.
NO_OPERATION = (errors.NotFound, errors.MethodNotAllowed)


class ViolationModel(AnswerModel):
    """One thing that is wrong with the request."""

    pointer: str | None = Field(None, description="JSON pointer (RFC 6901) into the body.")
    parameter: str | None = Field(None, description="Name of the query parameter.")
    header: str | None = Field(None, description="Name of the header.")
    code: str = Field(description="What is wrong, for programs.")
    detail: str = Field(description="What is wrong, for people.")


class Problem(AnswerModel):
    """A failure as RFC 9457 describes it. Programs look at `code`, which never changes its meaning."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="Where the code is explained.", json_schema_extra={"format": "uri-reference"})
    title: str = Field(description="The code in words.")
    status: int = Field(description="The HTTP status.", ge=400, le=599)
    detail: str = Field(description="What happened this time.")
    instance: str = Field(description="Path of the request.", json_schema_extra={"format": "uri-reference"})
    code: str = Field(description="Stable name of the error.")
    request_id: str = Field(description="To be given when asking for help.")
    errors: list[ViolationModel] | None = Field(None, description="Everything that is wrong with the request.")


def document(name: str, description: str, parts: Sequence[Routes], endpoints: Sequence[Endpoint]) -> Json:
    """The whole document."""
    schemas = _Schemas(endpoints)
    paths: dict[str, Json] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.route.path, {})[endpoint.route.method.lower()] = _operation(endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Matchday {name}", "version": VERSION, "description": description},
        "servers": [{"url": "/"}],
        "tags": [{"name": part.tag, "description": part.description} for part in parts],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "responses": {kind.__name__: _problem(kind.status, [kind], "/nothing") for kind in NO_OPERATION},
            "securitySchemes": _security_schemes(endpoints),
        },
    }


class _Schemas:
    """JSON Schemas of all models that the routes mention, each once."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {(Problem, "validation"): None}
        for endpoint in endpoints:
            if endpoint.body is not None:
                wanted[(endpoint.body, "validation")] = None
            for answer in endpoint.route.answers.values():
                if answer.model is not None:
                    wanted[(answer.model, "serialization")] = None
        self._refs, definitions = models_json_schema(list(wanted), by_alias=True, ref_template=REF)
        made = definitions.get("$defs", {})
        told = {name: made[name] for name in made if name in ("Problem", "ViolationModel")}  # repeat what was sent
        self.components: Json = dict(sorted({**_no_nul(made), **told}.items()))

    def body(self, model: type[BaseModel]) -> Json:
        return self._refs[(model, "validation")]

    def answer(self, model: type[BaseModel]) -> Json:
        return self._refs[(model, "serialization")]

    def fields(self, model: type[BaseModel]) -> tuple[Json, list[str]]:
        """Properties of a query or header model, and which are required."""
        schema = model.model_json_schema(by_alias=True, ref_template=REF)
        self.components.update(_no_nul(schema.get("$defs", {})))
        return schema.get("properties", {}), schema.get("required", [])


def _no_nul(schema: Any) -> Any:
    """The schema with the rule that holds for every text: no NUL, since PostgreSQL cannot store it."""
    if isinstance(schema, list):
        return [_no_nul(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: _no_nul(value) for key, value in schema.items()}
    if schema.get("type") == "string" and not schema.keys() & {"pattern", "format", "enum", "const"}:
        schema["pattern"] = NO_NUL
    return schema


def _operation(endpoint: Endpoint, schemas: _Schemas) -> Json:
    route = endpoint.route
    summary, _, rest = (inspect.getdoc(route.handler) or route.name).partition("\n")
    operation: Json = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": summary.strip(),
        "description": rest.strip(),
        "parameters": _parameters(endpoint, schemas),
        "responses": _responses(endpoint, schemas),
        "security": _security(endpoint),
    }
    body = endpoint.route.body_schema if endpoint.body is None else schemas.body(endpoint.body)
    if body is not None:
        operation["requestBody"] = {
            "required": not endpoint.body_may_miss,
            "content": {JSON: {"schema": dict(body)}},
        }
    return {key: value for key, value in operation.items() if value or key == "responses"}


def _parameters(endpoint: Endpoint, schemas: _Schemas) -> list[Json]:
    result = [_path_parameter(endpoint, variable) for variable in endpoint.route.variables]
    for place, model in (("query", endpoint.query), ("header", endpoint.headers)):
        if model is not None:
            properties, required = schemas.fields(model)
            result += [_parameter(place, name, schema, name in required) for name, schema in properties.items()]
    if endpoint.route.limit != "none" and not endpoint.route.internal:
        result += [_challenge_header(name, text) for name, text in CHALLENGE_HEADERS.items()]
    return result


def _challenge_header(name: str, text: str) -> Json:
    return {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}


def _path_parameter(endpoint: Endpoint, variable: str) -> Json:
    schema = TypeAdapter(endpoint.path_annotation(variable)).json_schema(ref_template=REF)
    return _parameter("path", variable, schema, True)


def _parameter(place: str, name: str, schema: Json, required: bool) -> Json:
    schema = _no_nul(_without_null(schema))
    parameter: Json = {"name": name, "in": place, "required": required, "schema": schema}
    if "description" in schema:
        parameter["description"] = schema.pop("description")
    return parameter


def _without_null(schema: Json) -> Json:
    """A parameter is there or not: text cannot be null, though the model says `| None`."""
    schema = {key: value for key, value in schema.items() if not (key == "default" and value is None)}
    options = [option for option in schema.get("anyOf", []) if option != {"type": "null"}]
    if len(options) == 1:
        del schema["anyOf"]
        schema = {**options[0], **schema}
    return schema


def _responses(endpoint: Endpoint, schemas: _Schemas) -> Json:
    told = {} if endpoint.route.limit == "none" else LIMITS
    result = {str(status): _answer(answer, schemas, told) for status, answer in endpoint.route.answers.items()}
    by_status: dict[int, list[type[errors.MatchdayError]]] = {}
    for error in errors_of(endpoint):
        by_status.setdefault(error.status, []).append(error)
    for status, kinds in sorted(by_status.items()):
        result[str(status)] = _problem(status, kinds, endpoint.route.path)
    # Of another method on the same path; a document has no place for it but at those that there are.
    not_allowed = errors.MethodNotAllowed
    result[str(not_allowed.status)] = _problem(not_allowed.status, [not_allowed], endpoint.route.path)
    return dict(sorted(result.items()))


def errors_of(endpoint: Endpoint) -> list[type[errors.MatchdayError]]:
    """Every error that the route can answer with, each once: declared ones and those of reading the request."""
    found: list[type[errors.MatchdayError]] = [errors.BadRequest, errors.ValidationFailed, errors.InternalError]
    found += _errors_at_the_door(endpoint.route)
    if endpoint.route.variables:
        found.append(errors.NotFound)
    if endpoint.body is not None or endpoint.takes_bytes:
        found += [errors.MalformedJson, errors.BodyTooLarge, errors.UnsupportedMediaType, errors.Overloaded]
    return list({kind.code: kind for kind in (*found, *endpoint.route.raises)}.values())


def _errors_at_the_door(route: Route) -> list[type[errors.MatchdayError]]:
    found: list[type[errors.MatchdayError]] = []
    if route.internal:
        found.append(errors.Unauthenticated)
    elif route.reads_identity:
        found += [errors.Unauthenticated, *([errors.Forbidden] if route.access.roles else [])]
        found += [] if route.method in SAFE_METHODS else [errors.CsrfFailed]
        found += [errors.ReauthenticationRequired] if route.fresh else []
    if route.limit != "none":
        found += [errors.Blocked, errors.ChallengeRequired, errors.RateLimited, errors.DependencyUnavailable]
    return found


def _answer(answer: Answer, schemas: _Schemas, told: Mapping[str, str]) -> Json:
    response: Json = {"description": answer.description}
    if headers := {**answer.headers, **told}:
        response["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()
        }
    if answer.model is not None:
        response["content"] = {answer.media_type: {"schema": schemas.answer(answer.model)}}
    elif answer.media_type != JSON:
        response["content"] = {answer.media_type: {"schema": {"type": "string"}}}
    return response


def _problem(status: int, kinds: Sequence[type[errors.MatchdayError]], path: str) -> Json:
    codes = sorted({kind.code for kind in kinds})
    members = {name: _member(schema, kind) for kind in kinds for name, schema in kind.members.items()}
    narrowed = {"properties": {"status": {"const": status}, "code": {"enum": codes}, **members}}
    content = {
        "schema": {"allOf": [{"$ref": REF.format(model="Problem")}, narrowed]},
        "examples": {kind.code: {"summary": kind.title(), "value": _example(kind, path)} for kind in kinds},
    }
    names = sorted({name for kind in kinds for name, _ in kind().headers()})
    names += LIMITS if errors.RateLimited in kinds else []
    response: Json = {
        "description": f"{HTTPStatus(status).phrase}: {', '.join(f'`{code}`' for code in codes)}",
        "content": {PROBLEM_TYPE: content},
    }
    if names:
        response["headers"] = {name: {"schema": {"type": "string"}} for name in names}
    return response


def _member(schema: Mapping[str, Any], kind: type[errors.MatchdayError]) -> Json:
    return {**schema, "description": f"With `{kind.code}`: {schema['description']}"}


def _example(kind: type[errors.MatchdayError], path: str) -> Json:
    example: Json = {
        "type": problem_type(kind.code),
        "title": kind.title(),
        "status": kind.status,
        "detail": kind.title(),
        "instance": path,
        "code": kind.code,
        "requestId": "4bf92f3577b34da6a3ce929d0e0e4736",
    }
    if issubclass(kind, errors.ValidationFailed):
        example["errors"] = [{"pointer": "/quantity", "code": "out_of_range", "detail": "must be 1 or 2"}]
    return example


def _security(endpoint: Endpoint) -> list[Json]:
    route = endpoint.route
    if route.internal:
        return [{ServiceTokenGuard.scheme: []}]
    if not route.reads_identity:
        return []
    accepted: list[Json] = [{ACCESS_TOKEN: []}, {COOKIE: []}]
    if route.access.services:
        accepted.append({ServiceTokenGuard.scheme: []})
    return accepted + ([{}] if route.access.kind == "public" else [])


def _security_schemes(endpoints: Iterable[Endpoint]) -> Json:
    used = {name for endpoint in endpoints for option in _security(endpoint) for name in option}
    schemes: Json = {
        ServiceTokenGuard.scheme: {
            "type": "http",
            "scheme": "bearer",
            "description": "The token that the site's own services share.",
        },
        ACCESS_TOKEN: {
            "type": "http",
            "scheme": "bearer",
            "description": "An account's access token, or a guest's token for one reservation.",
        },
        COOKIE: {
            "type": "apiKey",
            "in": "cookie",
            "name": ACCESS_COOKIE,
            "description": f"An account's token in a page's cookie; changes need the header `{CSRF_HEADER}`, too.",
        },
    }
    return {name: schemes[name] for name in sorted(used)}
