"""Tables of the schema `analytics`; the lake's own are in `analytics/lake/tables.py`."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

SCHEMA = "analytics"
metadata = sa.MetaData(schema=SCHEMA)

erased_subjects = sa.Table(
    "erased_subjects",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("subject", sa.Text, nullable=False, unique=True),
    sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("erased_at", sa.DateTime(timezone=True)),
)
sa.Index("erased_subjects_open", erased_subjects.c.id, postgresql_where=erased_subjects.c.erased_at.is_(None))

# What the lake's writer says of itself: one row.
writer = sa.Table(
    "writer",
    metadata,
    sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("progress", postgresql.JSONB, nullable=False),
    sa.Column("left_out", postgresql.JSONB, nullable=False),
)
