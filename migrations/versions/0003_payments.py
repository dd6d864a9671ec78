"""Payments, refunds, the ledger, the inbox of Stripe's events, and what is told to reservations."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# A ledger transaction is balanced in each currency, or the database does not commit it. Nothing in the books is changed
# or deleted: what was wrong is booked back.
BALANCED = """
    CREATE FUNCTION payments.check_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (SELECT 1 FROM payments.ledger_entries WHERE transaction_id = NEW.transaction_id
                    GROUP BY currency HAVING sum(amount) <> 0) THEN
            RAISE EXCEPTION 'ledger transaction % does not sum to zero', NEW.transaction_id
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER ledger_entries_balanced AFTER INSERT ON payments.ledger_entries
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments.check_balanced();
    CREATE FUNCTION payments.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the books are only written to' USING ERRCODE = 'check_violation';
    END $$;
    CREATE TRIGGER ledger_entries_kept BEFORE UPDATE OR DELETE ON payments.ledger_entries
        FOR EACH ROW EXECUTE FUNCTION payments.refuse_change();
    CREATE TRIGGER ledger_transactions_kept BEFORE UPDATE OR DELETE ON payments.ledger_transactions
        FOR EACH ROW EXECUTE FUNCTION payments.refuse_change();
"""


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS payments")
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
        schema="payments",
    )
    op.create_index(
        "deliveries_delivered_at",
        "deliveries",
        ["delivered_at"],
        unique=False,
        schema="payments",
        postgresql_where=sa.text("delivered_at IS NOT NULL"),
    )
    op.create_index(
        "deliveries_open",
        "deliveries",
        ["target", "subject", "number"],
        unique=False,
        schema="payments",
        postgresql_where=sa.text("delivered_at IS NULL AND refused_at IS NULL"),
    )
    op.create_index(
        "deliveries_refused",
        "deliveries",
        ["number"],
        unique=False,
        schema="payments",
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
        schema="payments",
    )
    op.create_index("idempotency_keys_created_at", "idempotency_keys", ["created_at"], unique=False, schema="payments")
    op.create_table(
        "inbox",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="payments",
    )
    op.create_index("inbox_received_at", "inbox", ["received_at"], unique=False, schema="payments")
    op.create_table(
        "payments",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("reservation_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("intent_id", sa.Text(), nullable=True),
        sa.Column("intent_key", sa.Text(), nullable=False),
        sa.Column("client_secret", sa.Text(), nullable=True),
        sa.Column("charge_id", sa.Text(), nullable=True),
        sa.Column("received", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("failure_code", sa.Text(), nullable=True),
        sa.Column("decline_code", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("outcome_reason", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("event_created", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("cancel_wanted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("confirms", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("amount > 0", name="payments_amount_positive"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("intent_id"),
        schema="payments",
    )
    op.create_index(
        "payments_account",
        "payments",
        ["account_id"],
        unique=False,
        schema="payments",
        postgresql_where=sa.text("account_id IS NOT NULL"),
    )
    op.create_index(
        "payments_open",
        "payments",
        ["checked_at"],
        unique=False,
        schema="payments",
        postgresql_where=sa.text("(status NOT IN ('succeeded', 'canceled'))"),
    )
    op.create_index(
        "payments_reservation",
        "payments",
        ["reservation_id"],
        unique=True,
        schema="payments",
        postgresql_where=sa.text("status != 'canceled'"),
    )
    op.create_index(
        "payments_undecided",
        "payments",
        ["checked_at"],
        unique=False,
        schema="payments",
        postgresql_where=sa.text("status = 'succeeded' AND (outcome IS NULL OR outcome = 'asking')"),
    )
    op.create_table(
        "ledger_transactions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["payment_id"],
            ["payments.payments.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("reference"),
        schema="payments",
    )
    op.create_index(
        "ledger_transactions_payment", "ledger_transactions", ["payment_id"], unique=False, schema="payments"
    )
    op.create_table(
        "refunds",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("payment_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("stripe_id", sa.Text(), nullable=True),
        sa.Column("stripe_key", sa.Text(), nullable=False),
        sa.Column("failure_reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("amount > 0", name="refunds_amount_positive"),
        sa.ForeignKeyConstraint(
            ["payment_id"],
            ["payments.payments.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("stripe_id"),
        schema="payments",
    )
    op.create_index(
        "refunds_open",
        "refunds",
        ["next_try_at"],
        unique=False,
        schema="payments",
        postgresql_where=sa.text("status IN ('new', 'pending')"),
    )
    op.create_index("refunds_payment", "refunds", ["payment_id"], unique=False, schema="payments")
    op.create_table(
        "ledger_entries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("transaction_id", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["transaction_id"],
            ["payments.ledger_transactions.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        schema="payments",
    )
    op.create_index("ledger_entries_transaction", "ledger_entries", ["transaction_id"], unique=False, schema="payments")
    op.execute(BALANCED)


def downgrade() -> None:
    op.drop_table("ledger_entries", schema="payments")
    op.drop_table("refunds", schema="payments")
    op.drop_table("ledger_transactions", schema="payments")
    op.drop_table("payments", schema="payments")
    op.drop_table("inbox", schema="payments")
    op.drop_table("idempotency_keys", schema="payments")
    op.drop_table("deliveries", schema="payments")
    op.execute("DROP FUNCTION payments.check_balanced")
    op.execute("DROP FUNCTION payments.refuse_change")
    op.execute("DROP SCHEMA payments")
