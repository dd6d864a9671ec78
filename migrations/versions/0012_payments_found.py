"""Indexes for what operators look for among payments."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

INDEXES: dict[str, list[str | sa.TextClause]] = {
    "payments_of_reservation": ["reservation_id", "created_at"],
    "payments_created": ["created_at", "id"],
    "payments_canceled": ["created_at", "id"],
    "payments_email": [sa.text("lower(email)"), "created_at", "id"],
}
WHERE = {"payments_canceled": sa.text("status = 'canceled'")}


def upgrade() -> None:
    for name, columns in INDEXES.items():
        op.create_index(name, "payments", columns, schema="payments", postgresql_where=WHERE.get(name))


def downgrade() -> None:
    for name in reversed(INDEXES):
        op.drop_index(name, table_name="payments", schema="payments")
