"""Payments: declined cards are counted, odd events and refunds are kept for the operator."""

import sqlalchemy as sa
from alembic import op

revision = "0008b"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("inbox", sa.Column("problem", sa.Text(), nullable=True), schema="payments")
    op.add_column(
        "payments",
        sa.Column("declines", sa.Integer(), server_default=sa.text("0"), nullable=False),
        schema="payments",
    )
    op.add_column("payments", sa.Column("payer", sa.Text(), nullable=True), schema="payments")
    op.create_table(
        "differences",
        sa.Column("stripe_id", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.payments.id"]),
        sa.PrimaryKeyConstraint("stripe_id"),
        schema="payments",
    )


def downgrade() -> None:
    op.drop_table("differences", schema="payments")
    op.drop_column("payments", "payer", schema="payments")
    op.drop_column("payments", "declines", schema="payments")
    op.drop_column("inbox", "problem", schema="payments")
