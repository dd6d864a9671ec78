"""Block and allow lists, the audit log."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS security")


def downgrade() -> None:
    op.execute("DROP SCHEMA security")
