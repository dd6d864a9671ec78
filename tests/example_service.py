"""A small service for tests of the HTTP kernel: one of everything that a route can have."""

import datetime
import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID

from flask import Response, request
from pydantic import Field, SecretStr, StringConstraints, model_validator

from shared import errors, tracing
from shared.http import (
    TOKEN,
    Answer,
    AnswerModel,
    BodyModel,
    HttpApp,
    IdempotencyHeaders,
    PathNumber,
    QueryModel,
    Routes,
    bearer_token,
    create_http_app,
    json_answer,
)
from shared.settings import HttpSettings

SERVICE_TOKEN = "an-example-of-a-service-token"


class SoldOut(errors.Conflict):
    """The pool is sold out."""

    code = "sold_out"


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Buyer(BodyModel):
    name: Annotated[str, StringConstraints(min_length=1, max_length=20)]
    tags: list[str] = Field([], max_length=3)

    @model_validator(mode="after")
    def _somebody(self) -> "Buyer":
        if self.name == "nobody":
            raise ValueError("nobody cannot buy")
        return self


class NewOrder(BodyModel):
    """What is ordered."""

    match_number: int = Field(ge=1, le=64)
    quantity: int = Field(ge=1, le=2)
    order_id: UUID | None = None
    placed_at: datetime.datetime | None = None
    weight: float | None = None
    colour: Colour | None = None
    buyer: Buyer | None = None


class Order(AnswerModel):
    """An order."""

    match_number: int
    quantity: int
    key: str | None = None


class Search(QueryModel):
    team: str | None = Field(None, max_length=50)
    limit: int = Field(50, ge=1, le=100)
    since: datetime.date | None = None
    exact: bool = False
    category: list[Annotated[int, Field(ge=1, le=9)]] = Field([], max_length=3)


class Found(AnswerModel):
    """What was searched for."""

    team: str | None
    limit: int
    exact: bool
    category: list[int]


@dataclass
class Wiring:
    """What the handlers need."""

    orders: list[Order] = field(default_factory=list)
    seen: list[Any] = field(default_factory=list)


routes = Routes("orders", "An example.")


@routes.post("/api/orders", answer=Order, status=201, raises=[SoldOut, errors.DependencyUnavailable])
def create_order(wiring: Wiring, body: NewOrder, headers: IdempotencyHeaders) -> Response:
    """Order something.

    Match 64 is sold out.
    """
    if body.match_number == 64:
        raise SoldOut("none of 64 is left", remaining=0)
    order = Order(match_number=body.match_number, quantity=body.quantity, key=headers.idempotency_key)
    wiring.orders.append(order)
    return json_answer(order, 201, [("Location", f"/api/orders/{body.match_number}")])


@routes.get("/api/orders/{matchNumber}", answer=Order, also={304: Answer("Not changed")})
def get_order(match_number: PathNumber) -> Order:
    """Read an order."""
    return Order(match_number=match_number, quantity=1)


@routes.delete("/api/orders/{orderId}/lines/{lineNumber}", status=204)
def delete_line(wiring: Wiring, order_id: UUID, line_number: PathNumber) -> None:
    """Delete a line."""
    wiring.seen.append((order_id, line_number))


@routes.get("/api/search", answer=Found)
def search(query: Search) -> Found:
    """Search."""
    return Found(team=query.team, limit=query.limit, exact=query.exact, category=query.category)


@routes.get("/api/mine", answer=Found, access=TOKEN)
def mine() -> Found:
    """Read what belongs to the token."""
    token = bearer_token()
    if token != "me":
        raise errors.Unauthenticated
    return Found(team=token, limit=1, exact=True, category=[])


@routes.post("/internal/orders/{matchNumber}/close", answer=Order)
def close_order(match_number: PathNumber) -> Order:
    """Close an order."""
    return Order(match_number=match_number, quantity=1)


@routes.get("/api/trace", answer=Answer("The trace context", media_type="text/plain"))
def trace() -> Response:
    """Tell the trace context."""
    return Response(tracing.traceparent(), content_type="text/plain")


@routes.get("/api/broken")
def broken() -> None:
    """Fail with something that nobody may read."""
    raise RuntimeError("the password is hunter2")


@routes.get("/api/stream", answer=Answer("Pieces", media_type="text/plain"))
def stream() -> Response:
    """Send pieces."""

    def pieces() -> Iterator[bytes]:
        yield b"one "
        yield b"two"

    return Response(pieces(), content_type="text/plain")


@routes.get("/api/raw", answer=Answer("What the server gave us", media_type="text/plain"))
def raw() -> Response:
    """Echo the path as the server gave it."""
    return Response(request.path, content_type="text/plain")


def example_settings(**given: Any) -> HttpSettings:
    return HttpSettings(port=given.pop("port", 1), service_token=SecretStr(SERVICE_TOKEN), **given)


def example_app(
    settings: HttpSettings | None = None,
    *,
    wiring: Wiring | None = None,
    readiness: Mapping[str, Callable[[], None]] | None = None,
    details: Callable[[], Mapping[str, Any]] | None = None,
) -> HttpApp:
    return create_http_app(
        "example",
        "A service for tests.",
        settings or example_settings(),
        routes=[routes],
        wiring=wiring or Wiring(),
        readiness=readiness,
        details=details,
    )
