"""The inbox of reservations, and an index by which the gate reads void tickets."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "inbox",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="reservations",
    )
    op.create_index("inbox_received_at", "inbox", ["received_at"], unique=False, schema="reservations")
    op.create_index(
        "tickets_void",
        "tickets",
        ["id"],
        unique=False,
        schema="reservations",
        postgresql_where=sa.text("state = 'void'"),
    )


def downgrade() -> None:
    op.drop_index("tickets_void", table_name="tickets", schema="reservations")
    op.drop_table("inbox", schema="reservations")
