"""Payments, refunds, the ledger and the inbox of Stripe's events."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS payments")


def downgrade() -> None:
    op.execute("DROP SCHEMA payments")
