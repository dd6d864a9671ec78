"""Tickets that are sold again: listings, holds on them, the shop's view of them, and what sellers are paid."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _tickets()
    _listings()
    _shop()
    _payouts()


def _tickets() -> None:
    op.add_column("tickets", sa.Column("replaced_by", sa.Uuid(as_uuid=False), nullable=True), schema="reservations")
    op.create_foreign_key(
        None,
        "tickets",
        "tickets",
        ["replaced_by"],
        ["id"],
        source_schema="reservations",
        referent_schema="reservations",
    )
    op.drop_index("tickets_of_reservation", table_name="tickets", schema="reservations")
    op.create_index(
        "tickets_of_reservation",
        "tickets",
        ["reservation_id", "number"],
        unique=True,
        schema="reservations",
        postgresql_where=sa.text("state != 'void' OR replaced_by IS NOT NULL"),
    )
    op.add_column("reservations", sa.Column("listing_id", sa.Uuid(as_uuid=False), nullable=True), schema="reservations")
    op.add_column(
        "reservations",
        sa.Column("relist_due", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        schema="reservations",
    )
    op.create_index(
        "reservations_relist_due",
        "reservations",
        ["created_at"],
        unique=False,
        schema="reservations",
        postgresql_where=sa.text("relist_due"),
    )


def _listings() -> None:
    op.create_table(
        "listings",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("ticket_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("seller_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("by_site", sa.Boolean(), nullable=False),
        sa.Column("match_number", sa.Integer(), nullable=False),
        sa.Column("category", sa.Integer(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("face_price", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("held_by", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("price > 0", name="listings_price_positive"),
        sa.ForeignKeyConstraint(["held_by"], ["reservations.reservations.id"]),
        sa.ForeignKeyConstraint(["ticket_id"], ["reservations.tickets.id"]),
        sa.PrimaryKeyConstraint("id"),
        schema="reservations",
    )
    op.create_index(
        "listings_live",
        "listings",
        ["ticket_id"],
        unique=True,
        schema="reservations",
        postgresql_where=sa.text("state IN ('open', 'held')"),
    )
    op.create_index(
        "listings_seller",
        "listings",
        ["seller_id", "created_at", "id"],
        unique=False,
        schema="reservations",
        postgresql_where=sa.text("seller_id IS NOT NULL"),
    )
    op.create_table(
        "resale_holds",
        sa.Column("sale_id", sa.Text(), nullable=False),
        sa.Column("reservation_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("listing_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["listing_id"], ["reservations.listings.id"]),
        sa.ForeignKeyConstraint(["reservation_id"], ["reservations.reservations.id"]),
        sa.PrimaryKeyConstraint("sale_id"),
        sa.UniqueConstraint("reservation_id"),
        schema="reservations",
    )
    op.create_index(
        "resale_holds_open",
        "resale_holds",
        ["expires_at"],
        unique=False,
        schema="reservations",
        postgresql_where=sa.text("state = 'held'"),
    )


def _shop() -> None:
    op.create_table(
        "listings",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("match_number", sa.Integer(), nullable=False),
        sa.Column("category", sa.Integer(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("face_amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("by_site", sa.Boolean(), nullable=False),
        sa.Column("listed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="shop",
    )
    for name, columns in (
        ("price", ["amount", "id"]),
        ("listed", ["listed_at", "id"]),
        ("match", ["match_number", "category"]),
    ):
        op.create_index(
            f"listings_open_{name}",
            "listings",
            columns,
            unique=False,
            schema="shop",
            postgresql_where=sa.text("state = 'open'"),
        )


def _payouts() -> None:
    op.create_table(
        "payouts",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("listing_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("payment_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("sold_reservation_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("sold_amount", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("fee", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paid_by", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.CheckConstraint("fee >= 0 AND amount >= 0 AND fee + amount = price", name="payouts_sum"),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.payments.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("listing_id"),
        schema="payments",
    )
    op.create_index("payouts_account", "payouts", ["account_id", "created_at", "id"], unique=False, schema="payments")
    op.create_index("payouts_created", "payouts", ["created_at", "id"], unique=False, schema="payments")
    op.create_index(
        "payouts_due",
        "payouts",
        ["created_at", "id"],
        unique=False,
        schema="payments",
        postgresql_where=sa.text("paid_at IS NULL"),
    )
    op.create_index("payouts_sold", "payouts", ["sold_reservation_id"], unique=False, schema="payments")


def downgrade() -> None:
    op.drop_table("payouts", schema="payments")
    op.drop_table("listings", schema="shop")
    op.drop_table("resale_holds", schema="reservations")
    op.drop_table("listings", schema="reservations")
    op.drop_index("reservations_relist_due", table_name="reservations", schema="reservations")
    op.drop_column("reservations", "relist_due", schema="reservations")
    op.drop_column("reservations", "listing_id", schema="reservations")
    op.drop_index("tickets_of_reservation", table_name="tickets", schema="reservations")
    # What has changed hands is void, as before this revision; its place is free then.
    op.drop_column("tickets", "replaced_by", schema="reservations")
    op.create_index(
        "tickets_of_reservation",
        "tickets",
        ["reservation_id", "number"],
        unique=True,
        schema="reservations",
        postgresql_where=sa.text("state != 'void'"),
    )
