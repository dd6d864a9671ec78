"""Names that matches are found by, with trigrams."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Trusted ones: whoever owns the database may create them. They go into `public`, where every session finds them.
EXTENSIONS = ("pg_trgm", "unaccent", "fuzzystrmatch")


def upgrade() -> None:
    for extension in EXTENSIONS:
        op.execute(f"CREATE EXTENSION IF NOT EXISTS {extension} SCHEMA public")
    op.create_table(
        "search_names",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("spelling", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", "spelling"),
        schema="shop",
    )
    op.create_index(
        "search_names_trigrams",
        "search_names",
        ["spelling"],
        unique=False,
        schema="shop",
        postgresql_using="gin",
        postgresql_ops={"spelling": "gin_trgm_ops"},
    )


def downgrade() -> None:
    # The extensions stay: they may have been there before, or serve somebody else by now.
    op.drop_table("search_names", schema="shop")
