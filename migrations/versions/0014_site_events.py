"""Events of this site on their way to its analytics, and where a reservation's buyer was from."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

SERVICES = ("reservations", "payments")


def _events(schema: str) -> None:
    op.create_table(
        "site_events",
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), primary_key=True),
        sa.Column("event_id", sa.Uuid(), nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("account_id", sa.Uuid()),
        sa.Column("country", sa.Text()),
        sa.Column("language", sa.Text()),
        sa.Column("match_number", sa.Integer()),
        sa.Column("category", sa.Integer()),
        sa.Column("quantity", sa.Integer()),
        sa.Column("amount", sa.BigInteger()),
        sa.Column("currency", sa.Text()),
        sa.Column("reservation_id", sa.Uuid()),
        schema=schema,
    )


def upgrade() -> None:
    for schema in SERVICES:
        _events(schema)
    op.add_column("reservations", sa.Column("country", sa.Text()), schema="reservations")


def downgrade() -> None:
    op.drop_column("reservations", "country", schema="reservations")
    for schema in reversed(SERVICES):
        op.drop_table("site_events", schema=schema)
