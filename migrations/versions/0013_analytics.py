"""Whom analytics has to forget, and what the lake's writer says of itself."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE SCHEMA analytics")
    op.create_table(
        "erased_subjects",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("subject"),
        schema="analytics",
    )
    op.create_index(
        "erased_subjects_open",
        "erased_subjects",
        ["id"],
        schema="analytics",
        postgresql_where=sa.text("erased_at IS NULL"),
    )
    op.create_table(
        "writer",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("progress", postgresql.JSONB(), nullable=False),
        sa.Column("left_out", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="analytics",
    )


def downgrade() -> None:
    op.drop_table("writer", schema="analytics")
    op.drop_table("erased_subjects", schema="analytics")
    op.execute("DROP SCHEMA analytics")
