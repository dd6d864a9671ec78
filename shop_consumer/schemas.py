"""The HTTP models."""

import base64
from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import AwareDatetime, Field

from shared.http import AnswerModel, QueryModel
from shop.inventory.audit import RefusedRecord
from shop_consumer.handlers import EPOCH, MINUTE, Sold, Window, window
from shop_consumer.recount import Recount

PAGE = 100
PAGE_MAX = 1000
ID_MAX = 2**63 - 1


class RefusedQuery(QueryModel):
    """Which refused records to list."""

    cursor: int = Field(0, ge=0, le=ID_MAX, description="`nextCursor` of the page before.")
    limit: int = Field(PAGE, ge=1, le=PAGE_MAX, description="Most records on a page.")
    reason: str | None = Field(None, max_length=100, description="Only this reason code.")
    replayed: bool | None = Field(None, description="Only those that have, or have not, counted after all.")


class EvidenceQuery(QueryModel):
    """Which evidence to list."""

    cursor: int = Field(0, ge=0, le=ID_MAX, description="`nextCursor` of the page before.")
    limit: int = Field(PAGE, ge=1, le=PAGE_MAX, description="Most items on a page.")
    kind: str | None = Field(None, max_length=100, description="Only this kind.")


class RecordHeader(AnswerModel):
    """A record's header; `value` as text where it is UTF-8."""

    name: str
    value: str | None


class RefusedItem(AnswerModel):
    """A refused record, as it came."""

    id: int
    topic: str
    partition: int
    offset: int
    timestamp: datetime | None = Field(description="The record's own time; null when no calendar has it.")
    key: str | None
    value: str | None = Field(description="The record's value as text; what is not UTF-8 is replaced.")
    value_base64: str | None = Field(description="The record's value, to the byte.")
    headers: list[RecordHeader]
    reason: str
    detail: str
    refused_at: datetime
    replayed_at: datetime | None

    @classmethod
    def of(cls, record: RefusedRecord) -> Self:
        """The record for an operator."""
        return cls(
            id=record.id,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp=_moment(record.timestamp_ms),
            key=_text(record.key),
            value=_text(record.value),
            value_base64=None if record.value is None else base64.b64encode(record.value).decode(),
            headers=[RecordHeader(name=name, value=_text(value)) for name, value in record.headers],
            reason=record.reason,
            detail=record.detail,
            refused_at=record.refused_at,
            replayed_at=record.replayed_at,
        )


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")


def _moment(timestamp_ms: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


class RefusedPage(AnswerModel):
    """Refused records, oldest first."""

    items: list[RefusedItem]
    next_cursor: int | None


class EvidenceItem(AnswerModel):
    """Something in the log that an operator should know, with the record that shows it."""

    id: int
    kind: str
    partition: int
    offset: int
    client_id: str | None
    sale_id: str | None
    match_number: int
    category: int
    quantity: int
    detail: str
    seen_at: datetime

    @classmethod
    def of(cls, row: Any) -> Self:
        """The row for an operator."""
        return cls(**row._mapping)


class EvidencePage(AnswerModel):
    """Evidence, oldest first."""

    items: list[EvidenceItem]
    next_cursor: int | None


class Applied(AnswerModel):
    """How far a partition was applied."""

    partition: int
    next_offset: int


class Verified(AnswerModel):
    """The counters are what the log says."""

    equal: bool
    records: int
    pools: int
    positions: list[Applied]

    @classmethod
    def of(cls, recount: Recount) -> Self:
        """The result of a recount without differences."""
        positions = [Applied(partition=p, next_offset=end) for p, end in sorted(recount.positions.items())]
        return cls(equal=True, records=recount.records, pools=recount.pools, positions=positions)


class PartitionLag(AnswerModel):
    """How far behind the end of the log the counters are."""

    partition: int
    next_offset: int
    end_offset: int
    lag: int = Field(description="Records.")


class Lag(AnswerModel):
    """What the consumer does, and how far it has come."""

    state: str
    items: list[PartitionLag]
    next_cursor: None = None


WIDTHS = {"minute": 1, "hour": 60, "day": 1440}


class SoldQuery(QueryModel):
    """Which time, in which steps."""

    bucket: Literal["minute", "hour", "day"] = Field("hour", description="Width of a step; days are those of UTC.")
    since: AwareDatetime | None = Field(None, description="The beginning; without it the last `limit` buckets.")
    until: AwareDatetime | None = Field(None, description="The end; now, if it is not given.")
    limit: int = Field(48, ge=1, le=1000, description="Buckets, when there is no `since`.")

    def window(self, now: datetime) -> Window:
        """The same in whole buckets. Raises `ValidationFailed`."""
        return window(self.since, self.until, WIDTHS[self.bucket], self.limit, now)


class SoldItem(AnswerModel):
    """Tickets that the log shows as sold in one bucket."""

    start: datetime
    own: int
    partners: int


class SiteSold(AnswerModel):
    """What one site of the federation has sold."""

    client_id: str = Field(description="Empty for messages that do not say whose they are.")
    own: bool = Field(description="Whether it is this site.")
    tickets: int


class SoldAnswer(AnswerModel):
    """What was sold over time, by the log's clock; buckets without a sale are left out."""

    since: datetime
    until: datetime
    items: list[SoldItem]
    sites: list[SiteSold] = Field(description="Those that sold most in that time.")
    next_cursor: None = None

    @classmethod
    def of(cls, sold: Sold, client_id: str) -> Self:
        """The same for an operator."""
        items = [SoldItem(start=_at(each.minute), own=each.own, partners=each.partners) for each in sold.buckets]
        sites = [SiteSold(client_id=name, own=name == client_id, tickets=tickets) for name, tickets in sold.sites]
        return cls(since=_at(sold.window.since), until=_at(sold.window.until), items=items, sites=sites)


def _at(minute: int) -> datetime:
    return EPOCH + MINUTE * minute
