"""Catalogue, counters, outbox and reservations."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS shop")
    op.execute("CREATE SCHEMA IF NOT EXISTS reservations")
    op.create_table(
        "anonymous_holds",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("match_number", sa.Integer(), nullable=False),
        sa.Column("category", sa.Integer(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("born_ms", sa.BigInteger(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="shop",
    )
    op.create_index("anonymous_holds_age", "anonymous_holds", ["partition", "born_ms"], unique=False, schema="shop")
    op.create_index(
        "anonymous_holds_fifo",
        "anonymous_holds",
        ["match_number", "category", "born_ms", "id"],
        unique=False,
        schema="shop",
    )
    op.create_table(
        "evidence",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=True),
        sa.Column("sale_id", sa.Text(), nullable=True),
        sa.Column("match_number", sa.Integer(), nullable=False),
        sa.Column("category", sa.Integer(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="shop",
    )
    op.create_index("evidence_kind", "evidence", ["kind", "id"], unique=False, schema="shop")
    op.create_table(
        "log_positions",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("clock_ms", sa.BigInteger(), nullable=True),
        sa.Column("birth_offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition"),
        schema="shop",
    )
    op.create_table(
        "matches",
        sa.Column("match_number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("round_number", sa.Integer(), nullable=False),
        sa.Column("date_utc", sa.DateTime(timezone=True), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("home_team", sa.Text(), nullable=False),
        sa.Column("away_team", sa.Text(), nullable=False),
        sa.Column("group", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("match_number"),
        schema="shop",
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("message_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("not_after", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("partition", sa.Integer(), nullable=True),
        sa.Column("offset", sa.BigInteger(), nullable=True),
        sa.Column("dropped_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        schema="shop",
    )
    op.create_index(
        "outbox_dropped",
        "outbox",
        ["id"],
        unique=False,
        schema="shop",
        postgresql_where=sa.text("dropped_at IS NOT NULL"),
    )
    op.create_index(
        "outbox_published_at",
        "outbox",
        ["published_at"],
        unique=False,
        schema="shop",
        postgresql_where=sa.text("published_at IS NOT NULL"),
    )
    op.create_index(
        "outbox_unsent",
        "outbox",
        ["id"],
        unique=False,
        schema="shop",
        postgresql_where=sa.text("published_at IS NULL AND dropped_at IS NULL"),
    )
    op.create_table(
        "refused",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("timestamp_ms", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=True),
        sa.Column("value", sa.LargeBinary(), nullable=True),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("refused_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("replayed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("topic", "partition", "offset", name="refused_place"),
        schema="shop",
    )
    op.create_table(
        "relay_leases",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("broker_seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("marked", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("topic"),
        schema="shop",
    )
    op.create_table(
        "sales",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("sale_id", sa.Text(), nullable=False),
        sa.Column("match_number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("category", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("follows", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("log_state", sa.Text(), nullable=True),
        sa.Column("log_held", sa.Integer(), server_default="0", nullable=False),
        sa.Column("log_sold", sa.Integer(), server_default="0", nullable=False),
        sa.Column("born_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("partition", sa.Integer(), server_default="-1", nullable=False),
        sa.Column("offset", sa.BigInteger(), server_default="-1", nullable=False),
        sa.PrimaryKeyConstraint("client_id", "sale_id", "match_number", "category"),
        schema="shop",
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        "sales_open",
        "sales",
        ["partition", "born_ms"],
        unique=False,
        schema="shop",
        postgresql_where=sa.text("log_held > 0"),
    )
    op.create_index(
        "sales_to_expire",
        "sales",
        ["expires_at"],
        unique=False,
        schema="shop",
        postgresql_where=sa.text("follows = 'site' AND state IN ('submitted', 'held')"),
    )
    op.create_table(
        "side_records",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("before_offset", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=True),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("message_id"),
        schema="shop",
    )
    op.create_table(
        "pools",
        sa.Column("match_number", sa.Integer(), nullable=False),
        sa.Column("category", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("price", sa.Numeric(precision=12, scale=2), nullable=False),
        sa.Column("capacities", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("held", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("sold", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("log_held", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("log_sold", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("held >= 0 AND sold >= 0 AND log_held >= 0 AND log_sold >= 0", name="pools_not_negative"),
        sa.ForeignKeyConstraint(
            ["match_number"],
            ["shop.matches.match_number"],
        ),
        sa.PrimaryKeyConstraint("match_number", "category"),
        schema="shop",
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("scope", "key"),
        schema="reservations",
    )
    op.create_index(
        "idempotency_keys_created_at", "idempotency_keys", ["created_at"], unique=False, schema="reservations"
    )
    op.create_table(
        "reservations",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("sale_id", sa.Text(), nullable=False),
        sa.Column("buyer", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("match_number", sa.Integer(), nullable=False),
        sa.Column("category", sa.Integer(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("price", sa.Numeric(precision=12, scale=2), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resubmitted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sale_id"),
        schema="reservations",
    )
    op.create_index(
        "reservations_buyer", "reservations", ["buyer", "match_number"], unique=False, schema="reservations"
    )
    op.create_index(
        "reservations_resubmitted",
        "reservations",
        ["created_at"],
        unique=False,
        schema="reservations",
        postgresql_where="resubmitted",
    )


def downgrade() -> None:
    op.drop_index(
        "reservations_resubmitted", table_name="reservations", schema="reservations", postgresql_where="resubmitted"
    )
    op.drop_index("reservations_buyer", table_name="reservations", schema="reservations")
    op.drop_table("reservations", schema="reservations")
    op.drop_index("idempotency_keys_created_at", table_name="idempotency_keys", schema="reservations")
    op.drop_table("idempotency_keys", schema="reservations")
    op.drop_table("pools", schema="shop")
    op.drop_table("side_records", schema="shop")
    op.drop_index(
        "sales_to_expire",
        table_name="sales",
        schema="shop",
        postgresql_where=sa.text("follows = 'site' AND state IN ('submitted', 'held')"),
    )
    op.drop_index("sales_open", table_name="sales", schema="shop", postgresql_where=sa.text("log_held > 0"))
    op.drop_table("sales", schema="shop")
    op.drop_table("relay_leases", schema="shop")
    op.drop_table("refused", schema="shop")
    op.drop_index(
        "outbox_unsent",
        table_name="outbox",
        schema="shop",
        postgresql_where=sa.text("published_at IS NULL AND dropped_at IS NULL"),
    )
    op.drop_index(
        "outbox_published_at", table_name="outbox", schema="shop", postgresql_where=sa.text("published_at IS NOT NULL")
    )
    op.drop_index(
        "outbox_dropped", table_name="outbox", schema="shop", postgresql_where=sa.text("dropped_at IS NOT NULL")
    )
    op.drop_table("outbox", schema="shop")
    op.drop_table("matches", schema="shop")
    op.drop_table("log_positions", schema="shop")
    op.drop_index("evidence_kind", table_name="evidence", schema="shop")
    op.drop_table("evidence", schema="shop")
    op.drop_index("anonymous_holds_fifo", table_name="anonymous_holds", schema="shop")
    op.drop_index("anonymous_holds_age", table_name="anonymous_holds", schema="shop")
    op.drop_table("anonymous_holds", schema="shop")
    op.execute("DROP SCHEMA reservations")
    op.execute("DROP SCHEMA shop")
