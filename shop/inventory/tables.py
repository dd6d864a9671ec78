"""Tables of the catalogue and the counters, in the schema `shop`. Written by `shop.inventory` alone."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from shared.delivery import deliveries_table
from shared.outbox import outbox_table
from shared.relay import lease_table

SCHEMA = "shop"
metadata = sa.MetaData(schema=SCHEMA)

matches = sa.Table(
    "matches",
    metadata,
    sa.Column("match_number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("round_number", sa.Integer, nullable=False),
    sa.Column("date_utc", sa.DateTime(timezone=True), nullable=False),
    sa.Column("location", sa.Text, nullable=False),
    sa.Column("home_team", sa.Text, nullable=False),
    sa.Column("away_team", sa.Text, nullable=False),
    sa.Column("group", sa.Text),
)

# One row a pool; updated in place at every hold, hence the room that the fill factor leaves on each page.
pools = sa.Table(
    "pools",
    metadata,
    sa.Column("match_number", sa.Integer, sa.ForeignKey(matches.c.match_number), primary_key=True),
    sa.Column("category", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("price", sa.Numeric(12, 2), nullable=False),
    # [[log clock in ms from which it counts, tickets], …], oldest first
    sa.Column("capacities", JSONB, nullable=False),
    sa.Column("held", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("sold", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("log_held", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("log_sold", sa.BigInteger, nullable=False, server_default="0"),
    sa.CheckConstraint("held >= 0 AND sold >= 0 AND log_held >= 0 AND log_sold >= 0", name="pools_not_negative"),
    postgresql_with={"fillfactor": "50"},
)

sales = sa.Table(
    "sales",
    metadata,
    sa.Column("client_id", sa.Text, primary_key=True),
    sa.Column("sale_id", sa.Text, primary_key=True),
    sa.Column("match_number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("category", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("quantity", sa.Integer, nullable=False),
    sa.Column("follows", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    # When this site's own hold ends, by the database's clock; nothing for other sites' sales.
    sa.Column("expires_at", sa.DateTime(timezone=True)),
    sa.Column("log_state", sa.Text),
    sa.Column("log_held", sa.Integer, nullable=False, server_default="0"),
    sa.Column("log_sold", sa.Integer, nullable=False, server_default="0"),
    sa.Column("born_ms", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("partition", sa.Integer, nullable=False, server_default="-1"),
    sa.Column("offset", sa.BigInteger, nullable=False, server_default="-1"),
    postgresql_with={"fillfactor": "80"},
)
sa.Index("sales_open", sales.c.partition, sales.c.born_ms, postgresql_where=sales.c.log_held > 0)
sa.Index(
    "sales_to_expire",
    sales.c.expires_at,
    postgresql_where=sa.and_(sales.c.follows == "site", sales.c.state.in_(("submitted", "held"))),
)

anonymous_holds = sa.Table(
    "anonymous_holds",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("match_number", sa.Integer, nullable=False),
    sa.Column("category", sa.Integer, nullable=False),
    sa.Column("quantity", sa.Integer, nullable=False),
    sa.Column("born_ms", sa.BigInteger, nullable=False),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("offset", sa.BigInteger, nullable=False),
)
sa.Index(
    "anonymous_holds_fifo",
    anonymous_holds.c.match_number,
    anonymous_holds.c.category,
    anonymous_holds.c.born_ms,
    anonymous_holds.c.id,
)
sa.Index("anonymous_holds_age", anonymous_holds.c.partition, anonymous_holds.c.born_ms)

# The consumer's place in each partition, moved in the transaction that applies what was read.
log_positions = sa.Table(
    "log_positions",
    metadata,
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("next_offset", sa.BigInteger, nullable=False),
    sa.Column("clock_ms", sa.BigInteger),
    # Where the log ended when this database was made: this site's own records before it belong to a lost one.
    sa.Column("birth_offset", sa.BigInteger, nullable=False),
)

refused = sa.Table(
    "refused",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("offset", sa.BigInteger, nullable=False),
    sa.Column("timestamp_ms", sa.BigInteger, nullable=False),
    sa.Column("key", sa.LargeBinary),
    sa.Column("value", sa.LargeBinary),
    sa.Column("headers", JSONB, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("refused_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("replayed_at", sa.DateTime(timezone=True)),
    sa.UniqueConstraint("topic", "partition", "offset", name="refused_place"),
)

# Messages applied beside the log: replayed by an operator or handed in by HTTP. A recount puts each where it counted.
side_records = sa.Table(
    "side_records",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("message_id", sa.Text, nullable=False, unique=True),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("before_offset", sa.BigInteger, nullable=False),
    sa.Column("value", sa.LargeBinary),
    sa.Column("headers", JSONB, nullable=False),
    sa.Column("applied_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
)

evidence = sa.Table(
    "evidence",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("offset", sa.BigInteger, nullable=False),
    sa.Column("client_id", sa.Text),
    sa.Column("sale_id", sa.Text),
    sa.Column("match_number", sa.Integer, nullable=False),
    sa.Column("category", sa.Integer, nullable=False),
    sa.Column("quantity", sa.Integer, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
)
sa.Index("evidence_kind", evidence.c.kind, evidence.c.id)

# What the log shows as sold, for operators to look at over time. `minute` is of the log's clock, since the epoch: a
# number and no timestamp, since a partner's clock may say what no calendar has.
sold_by_minute = sa.Table(
    "sold_by_minute",
    metadata,
    sa.Column("minute", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("client_id", sa.Text, primary_key=True),
    sa.Column("tickets", sa.BigInteger, nullable=False),
)

deliveries = deliveries_table(metadata, SCHEMA)
outbox = outbox_table(metadata, SCHEMA)
relay_leases = lease_table(metadata, SCHEMA)
