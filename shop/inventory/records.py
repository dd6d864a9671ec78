"""Raw records that are kept: those refused, and those applied beside the log."""

import base64
from collections.abc import Sequence

import orjson
from sqlalchemy import Connection

from shared.database import ask, tell
from shared.wire import Headers, RawRecord, Refused

INSERT_REFUSED = """
    INSERT INTO shop.refused (topic, partition, "offset", timestamp_ms, key, value, headers, reason, detail)
    SELECT %(topic)s, %(partition)s, * FROM unnest(%(offsets)s::bigint[], %(timestamps)s::bigint[], %(keys)s::bytea[],
        %(values)s::bytea[], %(headers)s::jsonb[], %(reasons)s::text[], %(details)s::text[])
    ON CONFLICT ON CONSTRAINT refused_place DO NOTHING
"""
INSERT_SIDE_RECORD = """
    INSERT INTO shop.side_records (message_id, partition, before_offset, value, headers)
    VALUES (%(message_id)s, %(partition)s, %(before)s, %(value)s, %(headers)s::jsonb)
    ON CONFLICT (message_id) DO NOTHING RETURNING id
"""


def keep_refused(
    connection: Connection, topic: str, partition: int, refused: Sequence[tuple[RawRecord, Refused]]
) -> None:
    """Keeps the raw records that were refused, with the reason, for an operator to look at and replay."""
    if refused:
        values = {
            "topic": topic,
            "partition": partition,
            "offsets": [raw.offset for raw, _ in refused],
            "timestamps": [raw.timestamp for raw, _ in refused],
            "keys": [raw.key for raw, _ in refused],
            "values": [raw.value for raw, _ in refused],
            "headers": [dump_headers(raw.headers) for raw, _ in refused],
            "reasons": [why.reason for _, why in refused],
            "details": [why.detail.replace("\x00", "\\0") for _, why in refused],
        }
        tell(connection, INSERT_REFUSED, values)


def keep_side_record(
    connection: Connection,
    message_id: str,
    partition: int,
    before: int,
    value: bytes | None,
    headers: Headers,
) -> bool:
    """Keeps a message that counts right before the record at `before`; False when its id was there already."""
    values = {
        "message_id": message_id,
        "partition": partition,
        "before": before,
        "value": value,
        "headers": dump_headers(headers),
    }
    return bool(ask(connection, INSERT_SIDE_RECORD, values, list)())


def dump_headers(headers: Headers) -> str:
    """Record headers as JSON: [[name, base64 value or null], …]; a header may hold any bytes."""
    return orjson.dumps(
        [
            [name.replace("\x00", ""), None if value is None else base64.b64encode(value).decode()]
            for name, value in headers
        ]
    ).decode()


def load_headers(stored: list[list[str | None]]) -> list[tuple[str, bytes | None]]:
    """The headers that `dump_headers` wrote."""
    return [(name or "", None if value is None else base64.b64decode(value)) for name, value in stored]
