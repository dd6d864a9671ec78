"""Accounts, sessions, keys, and their mails and deliveries."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS users")
    op.create_table(
        "accounts",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_key", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("roles", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="users",
    )
    op.create_index("accounts_email", "accounts", ["email_key", "created_at"], unique=False, schema="users")
    op.create_index(
        "accounts_verified",
        "accounts",
        ["email_key"],
        unique=True,
        schema="users",
        postgresql_where=sa.text("verified_at IS NOT NULL"),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        schema="users",
    )
    op.create_index(
        "deliveries_delivered_at",
        "deliveries",
        ["delivered_at"],
        unique=False,
        schema="users",
        postgresql_where=sa.text("delivered_at IS NOT NULL"),
    )
    op.create_index(
        "deliveries_open",
        "deliveries",
        ["target", "subject", "number"],
        unique=False,
        schema="users",
        postgresql_where=sa.text("delivered_at IS NULL AND refused_at IS NULL"),
    )
    op.create_index(
        "deliveries_refused",
        "deliveries",
        ["number"],
        unique=False,
        schema="users",
        postgresql_where=sa.text("refused_at IS NOT NULL"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("scope", "key"),
        schema="users",
    )
    op.create_index("idempotency_keys_created_at", "idempotency_keys", ["created_at"], unique=False, schema="users")
    op.create_table(
        "mails",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("given_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        schema="users",
    )
    op.create_index("mails_created_at", "mails", ["created_at"], unique=False, schema="users")
    op.create_index("mails_recipient", "mails", ["recipient", "kind", "created_at"], unique=False, schema="users")
    op.create_index(
        "mails_waiting",
        "mails",
        ["next_attempt_at"],
        unique=False,
        schema="users",
        postgresql_where=sa.text("sent_at IS NULL AND given_up_at IS NULL"),
    )
    op.create_table(
        "sign_in_attempts",
        sa.Column("email_key", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("email_key"),
        schema="users",
    )
    op.create_index("sign_in_attempts_since", "sign_in_attempts", ["since"], unique=False, schema="users")
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("public", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("signs_from", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kid"),
        schema="users",
    )
    op.create_table(
        "mail_requests",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["users.accounts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        schema="users",
    )
    op.create_index("mail_requests_account", "mail_requests", ["account_id"], unique=False, schema="users")
    op.create_table(
        "mail_tokens",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["users.accounts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("hash"),
        schema="users",
    )
    op.create_index("mail_tokens_account", "mail_tokens", ["account_id"], unique=False, schema="users")
    op.create_index("mail_tokens_expires_at", "mail_tokens", ["expires_at"], unique=False, schema="users")
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("csrf", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("user_agent", sa.Text(), nullable=False),
        sa.Column("signed_in_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["users.accounts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        schema="users",
    )
    op.create_index("sessions_account", "sessions", ["account_id", "signed_in_at"], unique=False, schema="users")
    op.create_index("sessions_expires_at", "sessions", ["expires_at"], unique=False, schema="users")
    op.create_table(
        "refresh_tokens",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("session_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["session_id"], ["users.sessions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("hash"),
        schema="users",
    )
    op.create_index("refresh_tokens_session", "refresh_tokens", ["session_id"], unique=False, schema="users")
    op.create_index(
        "refresh_tokens_used_at",
        "refresh_tokens",
        ["used_at"],
        unique=False,
        schema="users",
        postgresql_where=sa.text("used_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index(
        "refresh_tokens_used_at",
        table_name="refresh_tokens",
        schema="users",
        postgresql_where=sa.text("used_at IS NOT NULL"),
    )
    op.drop_index("refresh_tokens_session", table_name="refresh_tokens", schema="users")
    op.drop_table("refresh_tokens", schema="users")
    op.drop_index("sessions_expires_at", table_name="sessions", schema="users")
    op.drop_index("sessions_account", table_name="sessions", schema="users")
    op.drop_table("sessions", schema="users")
    op.drop_index("mail_tokens_expires_at", table_name="mail_tokens", schema="users")
    op.drop_index("mail_tokens_account", table_name="mail_tokens", schema="users")
    op.drop_table("mail_tokens", schema="users")
    op.drop_index("mail_requests_account", table_name="mail_requests", schema="users")
    op.drop_table("mail_requests", schema="users")
    op.drop_table("signing_keys", schema="users")
    op.drop_index("sign_in_attempts_since", table_name="sign_in_attempts", schema="users")
    op.drop_table("sign_in_attempts", schema="users")
    op.drop_index(
        "mails_waiting",
        table_name="mails",
        schema="users",
        postgresql_where=sa.text("sent_at IS NULL AND given_up_at IS NULL"),
    )
    op.drop_index("mails_recipient", table_name="mails", schema="users")
    op.drop_index("mails_created_at", table_name="mails", schema="users")
    op.drop_table("mails", schema="users")
    op.drop_index("idempotency_keys_created_at", table_name="idempotency_keys", schema="users")
    op.drop_table("idempotency_keys", schema="users")
    op.drop_index(
        "deliveries_refused",
        table_name="deliveries",
        schema="users",
        postgresql_where=sa.text("refused_at IS NOT NULL"),
    )
    op.drop_index(
        "deliveries_open",
        table_name="deliveries",
        schema="users",
        postgresql_where=sa.text("delivered_at IS NULL AND refused_at IS NULL"),
    )
    op.drop_index(
        "deliveries_delivered_at",
        table_name="deliveries",
        schema="users",
        postgresql_where=sa.text("delivered_at IS NOT NULL"),
    )
    op.drop_table("deliveries", schema="users")
    op.drop_index(
        "accounts_verified", table_name="accounts", schema="users", postgresql_where=sa.text("verified_at IS NOT NULL")
    )
    op.drop_index("accounts_email", table_name="accounts", schema="users")
    op.drop_table("accounts", schema="users")
    op.execute("DROP SCHEMA users")
