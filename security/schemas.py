"""The HTTP models."""

import ipaddress
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints, ValidationInfo, field_validator, model_validator

from security.domain import ActionSearch, AdminAction, Count, ListEntry, Record, Search
from security.engine.refusals import Decision
from shared.http import AnswerModel, BodyModel, HeadersModel, QueryModel
from shared.http.actions import REQUEST_LONGEST
from shared.http.models import not_below

Kind = Literal["allow", "block", "challenge"]
Verdict = Literal["allow", "challenge", "block"]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
HEADERS_MAX = 100
# Who lists more than this at once has mistyped it.
WIDEST = {4: 8, 6: 16}
ID_MAX = 2**63 - 1

Short = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
AddressText = Annotated[str, StringConstraints(min_length=2, max_length=64, pattern=r"^[0-9A-Fa-f:.%/a-z]*$")]
NetworkText = Annotated[str, StringConstraints(min_length=2, max_length=64, pattern=r"^[0-9A-Fa-f:./]*$")]
PathText = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^/[^\x00]*$")]
Email = Annotated[str, StringConstraints(min_length=3, max_length=254, pattern=r"^[^\x00]*$")]
RequestText = Annotated[str, StringConstraints(max_length=REQUEST_LONGEST, pattern=r"^[^\x00]*$")]
HeaderName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9-]+$")]
HeaderValue = Annotated[str, StringConstraints(max_length=8000, pattern=r"^[^\x00\r\n]*$")]


class Check(BodyModel):
    """A request that somebody wants to let in."""

    address: AddressText = Field(description="The client's address.")
    method: Method
    path: PathText
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict, max_length=HEADERS_MAX, description="The request's headers."
    )
    account_id: Short | None = Field(None, description="Who is signed in, as the caller has verified.")

    def environ(self) -> dict[str, Any]:
        """The headers as the gate looks at them."""
        named = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()}
        return {**named, "PATH_INFO": self.path.partition("?")[0], "REQUEST_METHOD": self.method}


class Checked(AnswerModel):
    """What was decided about a request."""

    verdict: Verdict
    reasons: list[str] = Field(description="What decided it first, then what else was noticed.")
    retry_after: int | None = Field(description="Seconds until the same request may be let in, when waiting helps.")
    headers: dict[str, str] = Field(description="To be handed on with the answer: limits, and a pass that was earned.")

    @classmethod
    def of(cls, decision: Decision, headers: list[tuple[str, str]]) -> Self:
        return cls(
            verdict=decision.verdict,
            reasons=decision.reasons,
            retry_after=decision.retry_after or None,
            headers=dict(headers),
        )


class OriginalHeaders(HeadersModel):
    """The request that a proxy asks about, as nginx's auth_request can be told to send it."""

    method: Method = Field("GET", alias="X-Original-Method", description="The client's method.")
    uri: PathText = Field("/", alias="X-Original-URI", description="The client's path, with its query.")
    address: AddressText = Field(alias="X-Original-Address", description="The client's address, as the proxy sees it.")


class ChallengeAnswer(AnswerModel):
    """A proof of work, as ALTCHA's widget and libraries (version 2) take it."""

    parameters: dict[str, Any] = Field(description="What to solve.")
    signature: str = Field(description="To be sent back as it is.")


class NewListEntry(BodyModel):
    """A network or an account to be listed."""

    kind: Kind = Field(description="`allow`: not challenged, blocked or limited by address; `block`; `challenge`.")
    network: NetworkText | None = Field(None, description="An address, or a network such as 192.0.2.0/24.")
    account_id: UUID | None = Field(None, description="An account.")
    reason: Short = Field(description="Why, for whoever reads it later.")
    expires_at: AwareDatetime | None = Field(None, description="When it ends; without it, never.")

    @field_validator("network")
    @classmethod
    def _is_network(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            network = ipaddress.ip_network(value)
        except ValueError:
            raise ValueError("must be an address, or a network without host bits") from None
        if network.prefixlen < WIDEST[network.version]:
            raise ValueError(f"must not be wider than /{WIDEST[network.version]}")
        return str(network)

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.network is None) == (self.account_id is None):
            raise ValueError("give either network or accountId")
        return self


class ListEntryAnswer(AnswerModel):
    """An entry of the lists."""

    id: UUID
    kind: Kind
    network: str | None
    account_id: str | None
    reason: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None

    @classmethod
    def of(cls, entry: ListEntry) -> Self:
        return cls.model_validate(entry, from_attributes=True)


class ListPage(AnswerModel):
    """Entries of the lists."""

    items: list[ListEntryAnswer]
    next_cursor: UUID | None


class ListQuery(QueryModel):
    """Which entries."""

    kind: Kind | None = None
    cursor: UUID | None = None
    limit: int = Field(100, ge=1, le=1000)


class DecisionAnswer(AnswerModel):
    """What was decided `count` times alike."""

    id: int
    at: datetime = Field(description="The last time.")
    first_at: datetime
    count: int
    verdict: Verdict
    reason: str
    service: str
    rate_class: str
    method: str
    route: str
    address: str
    holder: str = Field(description="What the address is counted under: itself, or its network.")
    account_id: str | None
    pass_id: str | None
    signals: list[str]
    request_id: str | None = Field(description="Of the first.")

    @classmethod
    def of(cls, record: Record) -> Self:
        return cls.model_validate(record, from_attributes=True)


class AuditPage(AnswerModel):
    """Decisions, the latest first."""

    items: list[DecisionAnswer]
    next_cursor: int | None


class AuditQuery(QueryModel):
    """Which decisions."""

    address: AddressText | None = Field(None, description="An address, or the network that it is counted under.")
    account_id: Short | None = None
    verdict: Verdict | None = None
    reason: Short | None = None
    rate_class: Short | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    cursor: int | None = Field(None, ge=1, le=ID_MAX)
    limit: int = Field(100, ge=1, le=1000)

    @field_validator("until")
    @classmethod
    def _not_below(cls, value: object, info: ValidationInfo) -> object:
        return not_below(value, info, "since")

    def search(self) -> Search:
        """The same for the domain."""
        return Search(self.address, self.account_id, self.verdict, self.reason, self.rate_class, self.since, self.until)


class NewAction(BodyModel):
    """What an admin is about to change, as the service tells it where it happens."""

    id: UUID
    at: AwareDatetime
    service: Short
    operation: Short
    method: Method
    path: PathText
    account_id: Short | None = None
    email: Email | None = None
    address: AddressText
    request_id: Short | None = None
    request: RequestText | None = None

    def action(self) -> AdminAction:
        """The same for the domain."""
        return AdminAction(**{**self.model_dump(), "id": str(self.id)})


class ActionOutcome(BodyModel):
    """How it ended."""

    status: int = Field(ge=100, le=599, description="The HTTP status of the answer.")
    ended_at: AwareDatetime


class ActionAnswer(AnswerModel):
    """What an admin changed or tried to; without an account it was the site's operator, by the service token."""

    number: int
    id: UUID
    at: datetime
    service: str
    operation: str = Field(description="The operation's name in the service's document, such as `createRefund`.")
    method: str
    path: str = Field(description="With the ids of what it was done to.")
    account_id: str | None
    email: str | None
    address: str
    request_id: str | None
    request: str | None = Field(description="The body that was sent, as JSON; a long one is cut off.")
    status: int | None = Field(description="Of the answer; null while it is not known.")
    ended_at: datetime | None

    @classmethod
    def of(cls, action: AdminAction) -> Self:
        return cls.model_validate(action, from_attributes=True)


class ActionPage(AnswerModel):
    """Actions, the latest first."""

    items: list[ActionAnswer]
    next_cursor: int | None


class ActionQuery(QueryModel):
    """Which actions."""

    account_id: Short | None = Field(None, description="Who did it.")
    email: Email | None = Field(None, description="Who did it, by the address at that time.")
    service: Short | None = None
    operation: Short | None = None
    path: PathText | None = Field(None, description="How the path begins, such as `/api/payments/`.")
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    cursor: int | None = Field(None, ge=1, le=ID_MAX)
    limit: int = Field(100, ge=1, le=1000)

    @field_validator("until")
    @classmethod
    def _not_below(cls, value: object, info: ValidationInfo) -> object:
        return not_below(value, info, "since")

    def search(self) -> ActionSearch:
        """The same for the domain."""
        return ActionSearch(**self.model_dump(exclude={"cursor", "limit"}))


class CountAnswer(AnswerModel):
    """How often something was decided within an hour."""

    hour: datetime
    rate_class: str
    verdict: Verdict
    reason: str
    count: int

    @classmethod
    def of(cls, count: Count) -> Self:
        return cls.model_validate(count, from_attributes=True)


class Statistics(AnswerModel):
    """What the audit log adds up to."""

    items: list[CountAnswer]


class StatisticsQuery(QueryModel):
    """How far back."""

    hours: int = Field(24, ge=1, le=24 * 31)
