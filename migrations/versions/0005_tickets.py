"""Tickets, admissions, what payments told of money, and what reservations tells others and its buyers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        schema="reservations",
    )
    op.create_index(
        "deliveries_delivered_at",
        "deliveries",
        ["delivered_at"],
        unique=False,
        schema="reservations",
        postgresql_where=sa.text("delivered_at IS NOT NULL"),
    )
    op.create_index(
        "deliveries_open",
        "deliveries",
        ["target", "subject", "number"],
        unique=False,
        schema="reservations",
        postgresql_where=sa.text("delivered_at IS NULL AND refused_at IS NULL"),
    )
    op.create_index(
        "deliveries_refused",
        "deliveries",
        ["number"],
        unique=False,
        schema="reservations",
        postgresql_where=sa.text("refused_at IS NOT NULL"),
    )
    op.create_table(
        "mails",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("given_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        schema="reservations",
    )
    op.create_index("mails_created_at", "mails", ["created_at"], unique=False, schema="reservations")
    op.create_index(
        "mails_recipient", "mails", ["recipient", "kind", "created_at"], unique=False, schema="reservations"
    )
    op.create_index(
        "mails_waiting",
        "mails",
        ["next_attempt_at"],
        unique=False,
        schema="reservations",
        postgresql_where=sa.text("sent_at IS NULL AND given_up_at IS NULL"),
    )
    op.create_table(
        "charges",
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("reservation_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["reservation_id"], ["reservations.reservations.id"]),
        sa.PrimaryKeyConstraint("payment_id"),
        schema="reservations",
    )
    op.create_index(
        "charges_standing",
        "charges",
        ["reservation_id"],
        unique=True,
        schema="reservations",
        postgresql_where=sa.text("outcome != 'refused'"),
    )
    op.create_index("charges_reservation", "charges", ["reservation_id"], unique=False, schema="reservations")
    op.create_table(
        "tickets",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("reservation_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("match_number", sa.Integer(), nullable=False),
        sa.Column("category", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["reservation_id"], ["reservations.reservations.id"]),
        sa.PrimaryKeyConstraint("id"),
        schema="reservations",
    )
    op.create_index(
        "tickets_of_reservation",
        "tickets",
        ["reservation_id", "number"],
        unique=True,
        schema="reservations",
        postgresql_where=sa.text("state != 'void'"),
    )
    op.create_index("tickets_by_reservation", "tickets", ["reservation_id"], unique=False, schema="reservations")
    op.create_table(
        "admissions",
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("ticket_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("scanner", sa.Text(), nullable=False),
        sa.Column("admitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("offline", sa.Boolean(), nullable=False),
        sa.Column("double_use", sa.Boolean(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["ticket_id"], ["reservations.tickets.id"]),
        sa.PrimaryKeyConstraint("number"),
        schema="reservations",
    )
    op.create_index(
        "admissions_double",
        "admissions",
        ["number"],
        unique=False,
        schema="reservations",
        postgresql_where=sa.text("double_use"),
    )
    op.create_index(
        "admissions_first",
        "admissions",
        ["ticket_id"],
        unique=True,
        schema="reservations",
        postgresql_where=sa.text("NOT double_use"),
    )
    op.create_index("admissions_ticket", "admissions", ["ticket_id"], unique=False, schema="reservations")
    op.add_column("reservations", sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=True), schema="reservations")
    op.add_column("reservations", sa.Column("mail_due", sa.Text(), nullable=True), schema="reservations")
    op.create_index(
        "reservations_account",
        "reservations",
        ["account_id", "created_at", "id"],
        unique=False,
        schema="reservations",
        postgresql_where=sa.text("account_id IS NOT NULL"),
    )
    op.create_index(
        "reservations_mail_due",
        "reservations",
        ["created_at"],
        unique=False,
        schema="reservations",
        postgresql_where=sa.text("mail_due IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("reservations_mail_due", table_name="reservations", schema="reservations")
    op.drop_index("reservations_account", table_name="reservations", schema="reservations")
    op.drop_column("reservations", "mail_due", schema="reservations")
    op.drop_column("reservations", "account_id", schema="reservations")
    for table in ("admissions", "tickets", "charges", "mails", "deliveries"):
        op.drop_table(table, schema="reservations")
