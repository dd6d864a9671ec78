"""The tables of the lake: names, columns, and how they are laid out in folders.

Each is a Delta table, that is, Parquet files and a log of commits beside them; a reader sees what was committed and
never half a file. A change of the columns that an old reader would misread raises `SCHEMA_VERSION`, and with it the
folder: the new tables are written anew from the topics.
"""

from dataclasses import dataclass

import pyarrow as pa

SCHEMA_VERSION = 1
MOMENT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class LakeTable:
    """A table by its name; `partition_by` are the columns that folders are named by."""

    name: str
    columns: pa.Schema
    partition_by: tuple[str, ...] = ()


# A row for each line of an understood message, and one for each refused record; (partition, offset, line) is unique.
TICKET_MESSAGES = LakeTable(
    "ticket_messages",
    pa.schema(
        [
            pa.field("partition", pa.int32(), nullable=False),
            pa.field("offset", pa.int64(), nullable=False),
            pa.field("line", pa.int16(), nullable=False),  # place in the message, from 0
            pa.field("logged_at", MOMENT, nullable=False),  # the record's own time
            pa.field("day", pa.date32(), nullable=False),  # of logged_at, UTC
            pa.field("site", pa.string()),  # clientId, null when the sender gave none
            pa.field("sale_id", pa.string()),
            pa.field("action", pa.string()),  # TICKET_PENDING | TICKET_RESERVED | TICKET_CANCELLED, null when refused
            pa.field("match_number", pa.int32()),
            pa.field("category", pa.int32()),
            pa.field("quantity", pa.int32()),
            pa.field("price", pa.float64()),  # major units a ticket as the sender wrote it
            pa.field("refused", pa.string()),  # the reason's code; null for an understood message
        ]
    ),
    ("day",),
)

# One row for each record of this site's own events; the same `event_id` may come twice and counts once.
SITE_EVENTS = LakeTable(
    "site_events",
    pa.schema(
        [
            pa.field("partition", pa.int32(), nullable=False),
            pa.field("offset", pa.int64(), nullable=False),
            pa.field("event_id", pa.string(), nullable=False),
            pa.field("kind", pa.string(), nullable=False),
            pa.field("happened_at", MOMENT, nullable=False),
            pa.field("day", pa.date32(), nullable=False),  # of happened_at, UTC
            pa.field("subject", pa.string()),  # pseudonym of an account; null for guests and the unknown
            pa.field("country", pa.string()),  # ISO 3166-1 alpha-2
            pa.field("language", pa.string()),
            pa.field("match_number", pa.int32()),
            pa.field("category", pa.int32()),
            pa.field("quantity", pa.int32()),
            pa.field("amount", pa.int64()),  # minor units of the currency, total
            pa.field("currency", pa.string()),
            pa.field("reservation_id", pa.string()),
            pa.field("text", pa.string()),  # what was searched for
            pa.field("synthetic", pa.bool_(), nullable=False),
        ]
    ),
    ("day",),
)

# The catalogue as the master list's topic has it now; written whole.
MATCHES = LakeTable(
    "matches",
    pa.schema(
        [
            pa.field("match_number", pa.int32(), nullable=False),
            pa.field("round_number", pa.int32()),
            pa.field("stage", pa.string()),
            pa.field("kick_off", MOMENT),
            pa.field("location", pa.string()),
            pa.field("city", pa.string()),
            pa.field("home_team", pa.string()),
            pa.field("away_team", pa.string()),
            pa.field("group", pa.string()),
        ]
    ),
)
POOLS = LakeTable(
    "pools",
    pa.schema(
        [
            pa.field("match_number", pa.int32(), nullable=False),
            pa.field("category", pa.int32(), nullable=False),
            pa.field("capacity", pa.int32(), nullable=False),
            pa.field("price", pa.float64(), nullable=False),  # major units
            pa.field("currency", pa.string(), nullable=False),
        ]
    ),
)
TABLES = (TICKET_MESSAGES, SITE_EVENTS, MATCHES, POOLS)
