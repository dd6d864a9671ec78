"""Tables of the schema `users`. Tokens stand here as SHA-256 only; sessions that have ended do not stand here."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from shared.delivery import deliveries_table
from shared.idempotency import idempotency_table
from shared.mail import mails_table

SCHEMA = "users"
metadata = sa.MetaData(schema=SCHEMA)

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("id", sa.Uuid(as_uuid=False), primary_key=True),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("email_key", sa.Text, nullable=False),
    sa.Column("password_hash", sa.Text, nullable=False),
    sa.Column("verified_at", sa.DateTime(timezone=True)),
    sa.Column("roles", ARRAY(sa.Text), nullable=False),
    sa.Column("country", sa.Text),
    sa.Column("language", sa.Text),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
)
# Anybody may claim an address; whoever reads its mail has it.
sa.Index("accounts_verified", accounts.c.email_key, unique=True, postgresql_where=accounts.c.verified_at.is_not(None))
sa.Index("accounts_email", accounts.c.email_key, accounts.c.created_at)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", sa.Uuid(as_uuid=False), primary_key=True),
    sa.Column("account_id", sa.ForeignKey(accounts.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("csrf", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("user_agent", sa.Text, nullable=False),
    sa.Column("signed_in_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
)
sa.Index("sessions_account", sessions.c.account_id, sessions.c.signed_in_at)
sa.Index("sessions_expires_at", sessions.c.expires_at)

# A used one stays for a while: who shows it again has stolen it, or was stolen from.
refresh_tokens = sa.Table(
    "refresh_tokens",
    metadata,
    sa.Column("hash", sa.LargeBinary, primary_key=True),
    sa.Column("session_id", sa.ForeignKey(sessions.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("used_at", sa.DateTime(timezone=True)),
)
sa.Index("refresh_tokens_session", refresh_tokens.c.session_id)
sa.Index("refresh_tokens_used_at", refresh_tokens.c.used_at, postgresql_where=refresh_tokens.c.used_at.is_not(None))

mail_tokens = sa.Table(
    "mail_tokens",
    metadata,
    sa.Column("hash", sa.LargeBinary, primary_key=True),
    sa.Column("account_id", sa.ForeignKey(accounts.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("used_at", sa.DateTime(timezone=True)),
)
sa.Index("mail_tokens_account", mail_tokens.c.account_id)
sa.Index("mail_tokens_expires_at", mail_tokens.c.expires_at)

# What somebody wants a mail about. Who is written to, and what, the worker finds out: the request that asked takes the
# same time and the same answer for an address that is known and one that is not.
mail_requests = sa.Table(
    "mail_requests",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("account_id", sa.ForeignKey(accounts.c.id, ondelete="CASCADE")),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
)
sa.Index("mail_requests_account", mail_requests.c.account_id)

sign_in_attempts = sa.Table(
    "sign_in_attempts",
    metadata,
    sa.Column("email_key", sa.Text, primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("since", sa.DateTime(timezone=True), nullable=False),
)
sa.Index("sign_in_attempts_since", sign_in_attempts.c.since)

signing_keys = sa.Table(
    "signing_keys",
    metadata,
    sa.Column("kid", sa.Text, primary_key=True),
    sa.Column("public", sa.Text, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("signs_from", sa.DateTime(timezone=True), nullable=False),
)

idempotency_keys = idempotency_table(metadata, SCHEMA)
mails = mails_table(metadata, SCHEMA)
deliveries = deliveries_table(metadata, SCHEMA)
