"""Which admin has ended a listing, and why; listings are looked through by match and by time."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

INDEXES = {"listings_created": ["created_at", "id"], "listings_match": ["match_number", "created_at", "id"]}


def upgrade() -> None:
    op.add_column("listings", sa.Column("ended_by", sa.Uuid(as_uuid=False), nullable=True), schema="reservations")
    op.add_column("listings", sa.Column("note", sa.Text(), nullable=True), schema="reservations")
    for name, columns in INDEXES.items():
        op.create_index(name, "listings", columns, unique=False, schema="reservations")


def downgrade() -> None:
    for name in INDEXES:
        op.drop_index(name, table_name="listings", schema="reservations")
    # The release before does not know this reason.
    op.execute("UPDATE reservations.listings SET reason = NULL WHERE reason = 'by_admin'")
    op.drop_column("listings", "note", schema="reservations")
    op.drop_column("listings", "ended_by", schema="reservations")
