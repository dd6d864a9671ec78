"""Bases of a service's `schemas.py`: how models look on the wire, decided once.

camelCase outside, snake_case inside. What comes in is strict: no unknown members, no conversions.
"""

from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo
from pydantic.alias_generators import to_camel

IDEMPOTENCY_KEY_LONGEST = 255
PATH_INT_MAX = 2_147_483_647


class BodyModel(BaseModel):
    """A request body: strict types, unknown members refused, only camelCase names understood."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        validate_by_alias=True,
        validate_by_name=False,
    )


class QueryModel(BaseModel):
    """The query parameters of a route; others are refused. A list field may be given several times."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, allow_inf_nan=False, validate_by_alias=True
    )


class HeadersModel(BaseModel):
    """The headers that a route reads, each field with its header's name as alias; others are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, validate_by_alias=True)


class AnswerModel(BaseModel):
    """A response body: built with snake_case names, written in camelCase."""

    model_config = ConfigDict(
        alias_generator=to_camel, frozen=True, validate_by_alias=True, validate_by_name=True, serialize_by_alias=True
    )


def _no_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be blank")
    return value


def not_below(value: object, info: ValidationInfo, least: str) -> object:
    """For the validator of a range's upper end: raises ValueError when it is below the lower end, the field `least`."""
    other = info.data.get(least)
    if value is not None and other is not None and value < other:
        raise ValueError("must not be below the other end of the range")
    return value


Text = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_no_blank)]
Moment = AwareDatetime
PathNumber = Annotated[int, Field(ge=1, le=PATH_INT_MAX)]
IdempotencyKey = Annotated[
    str,
    StringConstraints(pattern=r"^[!-~]+$", min_length=1, max_length=IDEMPOTENCY_KEY_LONGEST),
    Field(description="Makes a repetition of this request harmless: 1 to 255 visible ASCII characters."),
]

Language = Annotated[
    str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$"), Field(description="Such as `en` or `pt-BR`.")
]


class IdempotencyHeaders(HeadersModel):
    """For a POST that creates something."""

    idempotency_key: IdempotencyKey | None = Field(None, alias="Idempotency-Key")
