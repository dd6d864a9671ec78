"""The shop's JSON."""

import base64
import binascii
import datetime
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Literal

import orjson
from pydantic import Field, PlainSerializer, ValidationInfo, WithJsonSchema, field_validator

from shared.errors import ValidationFailed
from shared.http import AnswerModel, HeadersModel, QueryModel
from shared.http.models import PATH_INT_MAX, not_below
from shared.http.validation import violation
from shop.domain import MESSAGES, Availability, LogPosition, Match, Offered, Place, Search, ShownPool, SortKey
from shop.search.domain import Kind, Suggestion

PAGE_LIMIT_DEFAULT = 100
PAGE_LIMIT_MAX = 200
PRICE_MAX = 10_000_000
SUGGESTIONS_DEFAULT = 8
SUGGESTIONS_MAX = 20
MESSAGE_ID_LONGEST = 64


def _number(price: Decimal) -> int | float:
    """Whole prices without a fraction, as the master list writes them."""
    return int(price) if price == price.to_integral_value() else float(price)


Price = Annotated[
    Decimal,
    PlainSerializer(_number, return_type=int | float),
    WithJsonSchema({"type": "number", "minimum": 0}, mode="serialization"),
]
PriceLimit = Annotated[
    Decimal,
    Field(ge=0, le=PRICE_MAX),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": PRICE_MAX}),
]
Name = Annotated[str, Field(min_length=1, max_length=100)]
VisibleText = Annotated[str, Field(pattern=r"^[!-~]+$", min_length=1, max_length=MESSAGE_ID_LONGEST)]


class PoolAnswer(AnswerModel):
    """One price category of a match."""

    category: int
    capacity: int = Field(description="Tickets in all.")
    pending: int = Field(description="Tickets that may still be put on hold.", ge=0)
    reserved: int = Field(description="Tickets that are not sold for good.", ge=0)
    price: Price = Field(description="Of one ticket, in major units.")
    currency: str = Field(description="ISO 4217.")
    status: Availability
    message: str | None = Field(description="What to tell the buyer when there is no ticket.")

    @classmethod
    def of(cls, pool: ShownPool, currency: str) -> "PoolAnswer":
        return cls(
            category=pool.category,
            capacity=pool.capacity,
            pending=pool.pending,
            reserved=pool.reserved,
            price=pool.price,
            currency=currency,
            status=pool.status,
            message=MESSAGES[pool.status],
        )


class ResaleAnswer(AnswerModel):
    """What others sell again of a match: `/api/listings?matchNumber=` shows it."""

    open: int = Field(description="How many tickets are offered now; those that somebody holds do not count.", ge=0)
    lowest_price: Price | None = Field(description="In the currency's major units; null when none is offered.")

    @classmethod
    def of(cls, offered: Offered | None) -> "ResaleAnswer":
        if offered is None:
            return cls(open=0, lowest_price=None)
        return cls(open=offered.open, lowest_price=Decimal(offered.lowest_amount).scaleb(-2))


class MatchAnswer(AnswerModel):
    """A match with its price categories."""

    match_number: int
    round_number: int
    stage: str = Field(description="Group stage, Round of 16, Quarter-finals, Semi-finals, Third place or Final.")
    date_utc: datetime.datetime
    location: str = Field(description="The stadium.")
    city: str | None
    home_team: str = Field(description="A team, or its place such as 1A or W49 until it is known.")
    away_team: str
    group: str | None
    categories: list[PoolAnswer]
    resale: ResaleAnswer

    @classmethod
    def of(cls, match: Match, currency: str) -> "MatchAnswer":
        fields = match._asdict()
        pools, offered = fields.pop("pools"), fields.pop("offered")
        categories = [PoolAnswer.of(pool, currency) for pool in pools]
        return cls(**fields, categories=categories, resale=ResaleAnswer.of(offered))


class MatchPage(AnswerModel):
    """Matches, and how to get the next ones."""

    items: list[MatchAnswer]
    next_cursor: str | None = Field(description="Give it as `cursor` to get the next page; null on the last one.")


class PositionAnswer(AnswerModel):
    """A place in the federation's log."""

    topic: str
    partition: int
    offset: int = Field(description="Of the last record that counts here; -1: none yet.", ge=-1)

    @classmethod
    def of(cls, position: LogPosition | None) -> "PositionAnswer | None":
        return None if position is None else cls(**position._asdict())


class AvailabilityAnswer(AnswerModel):
    """The numbers of one match, and the log position that they include."""

    match_number: int
    categories: list[PoolAnswer]
    as_of: PositionAnswer | None = Field(description="null until this site has read the log for the first time.")


class MatchQuery(QueryModel):
    """What is looked for. Names are compared without case and accents."""

    q: Name | None = Field(
        None,
        description="Words of teams, stadiums, cities, groups and stages; other names in use, codes (KSA), and typing"
        " errors are understood. A match must fit all words; of more than eight, the first eight count.",
    )
    team: Name | None = None
    group: Name | None = None
    round: int | None = Field(None, ge=1, le=100)
    stadium: Name | None = None
    city: Name | None = None
    stage: Name | None = None
    date_from: datetime.date | None = Field(None, description="First day, UTC.")
    date_to: datetime.date | None = Field(None, description="Last day, UTC, itself included.")
    category: int | None = Field(None, ge=1, le=PATH_INT_MAX)
    price_min: PriceLimit | None = Field(None, description="Least price of a ticket, major units.")
    price_max: PriceLimit | None = Field(None, description="Highest price of a ticket, major units.")
    availability: Availability | None = None
    sort: SortKey | None = Field(None, description="Without it: `relevance` where there is a `q`, else `matchNumber`.")
    limit: int = Field(PAGE_LIMIT_DEFAULT, ge=1, le=PAGE_LIMIT_MAX)
    cursor: str | None = Field(None, max_length=200, description="`nextCursor` of the page before.")

    @field_validator("date_to", "price_max")
    @classmethod
    def _not_below(cls, value: object, info: ValidationInfo) -> object:
        return not_below(value, info, "date_from" if info.field_name == "date_to" else "price_min")

    @property
    def sorted_by(self) -> SortKey:
        """The sort, also when none is given."""
        return self.sort or (SortKey.MATCH_NUMBER if self.q is None else SortKey.RELEVANCE)

    def search(self, scores: Mapping[int, float] | None) -> Search:
        """The same for the domain; `scores` are those of `q`."""
        return Search(
            scores=scores,
            team=self.team,
            group=self.group,
            round_number=self.round,
            stadium=self.stadium,
            city=self.city,
            stage=self.stage,
            date_from=self.date_from,
            date_to=self.date_to,
            category=self.category,
            price_min=self.price_min,
            price_max=self.price_max,
            availability=self.availability,
        )

    def place(self) -> Place | None:
        """Where the page begins. Raises `ValidationFailed` when the cursor is not one of ours for this sort."""
        return None if self.cursor is None else _decode_cursor(self.cursor, self.sorted_by)


def encode_cursor(place: Place, sort: SortKey) -> str:
    """The place as text that means nothing to the caller."""
    raw = orjson.dumps([sort.value, place.value, place.match_number])
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decode_cursor(cursor: str, sort: SortKey) -> Place:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        known_sort, value, match_number = orjson.loads(raw)
        if known_sort != sort.value or type(match_number) is not int:
            raise ValueError("another sort")
        return Place(float(value), match_number)
    except (binascii.Error, ValueError, TypeError):
        wrong = violation("parameter", ["cursor"], "invalid", "must be a nextCursor of the same sort")
        raise ValidationFailed("the request has wrong parameters", errors=[wrong]) from None


class SuggestionQuery(QueryModel):
    """What somebody is typing."""

    q: Name = Field(description="As far as it is typed.")
    limit: int = Field(SUGGESTIONS_DEFAULT, ge=1, le=SUGGESTIONS_MAX)


class SuggestionAnswer(AnswerModel):
    """A name, or a match, that may be meant."""

    kind: Kind | Literal["match"] = Field(description="A name's kind is the parameter of `/api/matches` that takes it.")
    text: str = Field(description="What to show; of a match both teams.")
    match_number: int | None = Field(description="Of a match.")
    date_utc: datetime.datetime | None = Field(description="Of a match.")
    matches: int = Field(description="How many matches it leads to.", ge=1)

    @classmethod
    def of(cls, offered: Suggestion) -> "SuggestionAnswer":
        name, match = offered.name, offered.match
        if name is not None:
            return cls(kind=name.kind, text=name.text, match_number=None, date_utc=None, matches=offered.leads_to)
        assert match is not None
        return cls(
            kind="match",
            text=f"{match.home_team} – {match.away_team}",
            match_number=match.match_number,
            date_utc=match.date_utc,
            matches=1,
        )


class Suggestions(AnswerModel):
    """What may be meant, best first: names, then matches."""

    items: list[SuggestionAnswer]


class StreamQuery(QueryModel):
    """Which matches are followed."""

    match_number: int | None = Field(None, ge=1, le=PATH_INT_MAX, description="Only this match.")


class StreamHeaders(HeadersModel):
    """Sent by browsers when they connect again."""

    last_event_id: str | None = Field(None, alias="Last-Event-ID", max_length=100)


class ViewHeaders(HeadersModel):
    """How the answer is used."""

    view: Literal["no"] | None = Field(
        None,
        alias="X-View",
        description="`no`: nobody is shown this match now, so that it is not counted as looked at.",
    )


class MessageHeaders(HeadersModel):
    """What would be the record's headers, were it in the log."""

    idempotency_key: VisibleText | None = Field(None, alias="Idempotency-Key", description="The message's id.")
    message_id: VisibleText | None = Field(None, alias="messageId", description="The same, by its name in the log.")
    client_id: VisibleText | None = Field(None, alias="clientId", description="The site that sends.")
    sale_id: VisibleText | None = Field(None, alias="saleId", description="Ties the messages of one sale together.")

    def id(self) -> str:
        """The message's id. Raises `ValidationFailed` without one, or with two different ones."""
        ids = {name for name in (self.idempotency_key, self.message_id) if name is not None}
        if len(ids) == 1:
            return ids.pop()
        code = "invalid" if ids else "required"
        detail = "must be the same as messageId" if ids else "is required, here or as messageId"
        wrong = violation("header", ["Idempotency-Key"], code, detail)
        raise ValidationFailed("the request has wrong headers", errors=[wrong])

    def record_headers(self, traceparent: str | None) -> list[tuple[str, bytes]]:
        """The headers that the record would have in the log."""
        given = {"messageId": self.id(), "clientId": self.client_id, "saleId": self.sale_id, "traceparent": traceparent}
        return [(name, value.encode()) for name, value in given.items() if value is not None]


class MessageApplied(AnswerModel):
    """What became of a message."""

    message_id: str
    applied: bool = Field(description="False when a message with this id was applied before.")


def encode_match(match: Match, currency: str) -> bytes:
    """A match as JSON."""
    return _json(MatchAnswer.of(match, currency))


def encode_availability(
    match_number: int, pools: tuple[ShownPool, ...], as_of: LogPosition | None, currency: str
) -> bytes:
    """A match's numbers as JSON."""
    categories = [PoolAnswer.of(pool, currency) for pool in pools]
    return _json(AvailabilityAnswer(match_number=match_number, categories=categories, as_of=PositionAnswer.of(as_of)))


def encode_suggestions(offered: Sequence[Suggestion]) -> bytes:
    """Suggestions as JSON."""
    return _json(Suggestions(items=[SuggestionAnswer.of(each) for each in offered]))


def _json(model: AnswerModel) -> bytes:
    return model.__pydantic_serializer__.to_json(model, by_alias=True)
