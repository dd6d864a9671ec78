"""What the shop knows of listings: a projection, to be made anew from the events of reservations at any time."""

import sqlalchemy as sa

SCHEMA = "shop"
metadata = sa.MetaData(schema=SCHEMA)

listings = sa.Table(
    "listings",
    metadata,
    sa.Column("id", sa.Uuid(as_uuid=False), primary_key=True),
    # Of the newest event: an older one that comes late, or one that comes twice, changes nothing.
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("match_number", sa.Integer, nullable=False),
    sa.Column("category", sa.Integer, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("face_amount", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("by_site", sa.Boolean, nullable=False),
    sa.Column("listed_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
)
IS_OPEN = listings.c.state == "open"
sa.Index("listings_open_price", listings.c.amount, listings.c.id, postgresql_where=IS_OPEN)
sa.Index("listings_open_listed", listings.c.listed_at, listings.c.id, postgresql_where=IS_OPEN)
# With the price, so that counting what is offered of each match needs no look at the table.
sa.Index(
    "listings_open_match",
    listings.c.match_number,
    listings.c.category,
    postgresql_where=IS_OPEN,
    postgresql_include=["amount"],
)
