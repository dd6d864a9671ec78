"""What operators have said of waiting rooms, in the schema `reservations`. Who waits is in Redis."""

import sqlalchemy as sa

SCHEMA = "reservations"
metadata = sa.MetaData(schema=SCHEMA)

waiting_rooms = sa.Table(
    "waiting_rooms",
    metadata,
    sa.Column("match_number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("mode", sa.Text, nullable=False),
    sa.Column("rate_per_second", sa.Float, nullable=False),
    sa.Column("capacity", sa.Integer, nullable=False),
    sa.Column("changed_by", sa.Text, nullable=False),
    sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
)
