"""Tables of the schema `reservations`. A reservation's status is its sale's: it is kept in one place only."""

import sqlalchemy as sa

from shared.idempotency import idempotency_table

SCHEMA = "reservations"
metadata = sa.MetaData(schema=SCHEMA)

reservations = sa.Table(
    "reservations",
    metadata,
    sa.Column("id", sa.Uuid(as_uuid=False), primary_key=True),
    # The sale that stands for it in the counters and in the log; a new one when a late payment asks again.
    sa.Column("sale_id", sa.Text, nullable=False, unique=True),
    sa.Column("buyer", sa.Text, nullable=False),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("match_number", sa.Integer, nullable=False),
    sa.Column("category", sa.Integer, nullable=False),
    sa.Column("quantity", sa.Integer, nullable=False),
    sa.Column("price", sa.Numeric(12, 2), nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("confirmed_at", sa.DateTime(timezone=True)),
    # Paid, but its hold had run out in the log: the sale has asked again and waits for the verdict.
    sa.Column("resubmitted", sa.Boolean, nullable=False, server_default=sa.false()),
)
sa.Index("reservations_resubmitted", reservations.c.created_at, postgresql_where=reservations.c.resubmitted)
sa.Index("reservations_buyer", reservations.c.buyer, reservations.c.match_number)

idempotency_keys = idempotency_table(metadata, SCHEMA)
