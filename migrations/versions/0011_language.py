"""The language in which a reservation's buyer is written to."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "reservations", sa.Column("language", sa.Text(), nullable=False, server_default="en"), schema="reservations"
    )


def downgrade() -> None:
    op.drop_column("reservations", "language", schema="reservations")
