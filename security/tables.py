"""Tables of the schema `security`."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from shared.idempotency import idempotency_table

SCHEMA = "security"
metadata = sa.MetaData(schema=SCHEMA)

list_entries = sa.Table(
    "list_entries",
    metadata,
    sa.Column("id", sa.Uuid(as_uuid=False), primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("network", sa.Text),
    sa.Column("account_id", sa.Text),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("expires_at", sa.DateTime(timezone=True)),
    sa.CheckConstraint("(network IS NULL) <> (account_id IS NULL)", name="list_entries_names_one"),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("service", sa.Text, nullable=False),
    sa.Column("rate_class", sa.Text, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("route", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("account_id", sa.Text),
    sa.Column("pass_id", sa.Text),
    sa.Column("signals", postgresql.ARRAY(sa.Text), nullable=False),
    sa.Column("request_id", sa.Text),
)
sa.Index("audit_at", audit.c.at)
sa.Index("audit_holder", audit.c.holder, audit.c.id)
sa.Index("audit_account", audit.c.account_id, audit.c.id, postgresql_where=audit.c.account_id.is_not(None))

# What admins and the operator changed, told by the service where it happened, or written by this one.
admin_actions = sa.Table(
    "admin_actions",
    metadata,
    sa.Column("number", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("id", sa.Uuid(as_uuid=False), nullable=False, unique=True),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("service", sa.Text, nullable=False),
    sa.Column("operation", sa.Text, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("account_id", sa.Text),
    sa.Column("email", sa.Text),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("request_id", sa.Text),
    sa.Column("request", sa.Text),
    sa.Column("status", sa.Integer),
    sa.Column("ended_at", sa.DateTime(timezone=True)),
)
sa.Index("admin_actions_at", admin_actions.c.at)
sa.Index("admin_actions_account", admin_actions.c.account_id, admin_actions.c.number)

# Up to where the stream of decisions is in the audit log; moved in the transaction that writes them there.
audit_positions = sa.Table(
    "audit_positions",
    metadata,
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("last_id", sa.Text, nullable=False),
)

idempotency_keys = idempotency_table(metadata, SCHEMA)
