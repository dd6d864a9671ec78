"""Accounts, sessions, keys, and their mails and deliveries."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS users")


def downgrade() -> None:
    op.execute("DROP SCHEMA users")
