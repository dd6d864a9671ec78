"""What others sell of each match is counted from an index alone: it holds the price, too."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

NAME = "listings_open_match"
COLUMNS = ["match_number", "category"]
IS_OPEN = sa.text("state = 'open'")


def upgrade() -> None:
    op.drop_index(NAME, table_name="listings", schema="shop")
    op.create_index(
        NAME, "listings", COLUMNS, schema="shop", postgresql_where=IS_OPEN, postgresql_include=["amount"]
    )  # fmt: skip


def downgrade() -> None:
    op.drop_index(NAME, table_name="listings", schema="shop")
    op.create_index(NAME, "listings", COLUMNS, schema="shop", postgresql_where=IS_OPEN)
