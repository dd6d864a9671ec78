"""Tables of the schema `payments`. No card data has a column here."""

import sqlalchemy as sa

from shared.delivery import deliveries_table
from shared.event_outbox import site_events_table
from shared.idempotency import idempotency_table
from shared.inbox import inbox_table

SCHEMA = "payments"
metadata = sa.MetaData(schema=SCHEMA)

payments = sa.Table(
    "payments",
    metadata,
    sa.Column("id", sa.Uuid(as_uuid=False), primary_key=True),
    sa.Column("reservation_id", sa.Uuid(as_uuid=False), nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("account_id", sa.Uuid(as_uuid=False)),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("intent_id", sa.Text, unique=True),
    # The idempotency key under which Stripe makes the intent; another one when Stripe is stuck on a 500.
    sa.Column("intent_key", sa.Text, nullable=False),
    sa.Column("client_secret", sa.Text),
    sa.Column("charge_id", sa.Text),
    sa.Column("received", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("failure_code", sa.Text),
    sa.Column("decline_code", sa.Text),
    sa.Column("outcome", sa.Text),
    sa.Column("outcome_reason", sa.Text),
    sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("paid_at", sa.DateTime(timezone=True)),
    # When the newest event that was heard of the intent was made, seconds since the epoch: older ones tell no news.
    sa.Column("event_created", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("cancel_wanted", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("confirms", sa.Integer, nullable=False, server_default=sa.text("0")),
    # Cards that Stripe declined, and under which name the gate counts who pays; the name goes when the payment ends.
    sa.Column("declines", sa.Integer, nullable=False, server_default=sa.text("0")),
    sa.Column("payer", sa.Text),
    sa.CheckConstraint("amount > 0", name="payments_amount_positive"),
)
# One payment a reservation, unless it was cancelled: this is what makes a double click harmless.
sa.Index(
    "payments_reservation",
    payments.c.reservation_id,
    unique=True,
    postgresql_where=payments.c.status != "canceled",
)
# That one knows no cancelled payments, and operators ask for all of a reservation's.
sa.Index("payments_of_reservation", payments.c.reservation_id, payments.c.created_at)
# What operators look for, newest first. What is open is in `payments_open`, and what succeeded is everywhere.
sa.Index("payments_created", payments.c.created_at, payments.c.id)
sa.Index("payments_canceled", payments.c.created_at, payments.c.id, postgresql_where=payments.c.status == "canceled")
sa.Index("payments_email", sa.func.lower(payments.c.email), payments.c.created_at, payments.c.id)
sa.Index("payments_account", payments.c.account_id, postgresql_where=payments.c.account_id.is_not(None))
sa.Index("payments_open", payments.c.checked_at, postgresql_where=payments.c.status.not_in(["succeeded", "canceled"]))
sa.Index(
    "payments_undecided",
    payments.c.checked_at,
    postgresql_where=sa.and_(
        payments.c.status == "succeeded", sa.or_(payments.c.outcome.is_(None), payments.c.outcome == "asking")
    ),
)

refunds = sa.Table(
    "refunds",
    metadata,
    sa.Column("id", sa.Uuid(as_uuid=False), primary_key=True),
    sa.Column("payment_id", sa.Uuid(as_uuid=False), sa.ForeignKey(payments.c.id), nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("stripe_id", sa.Text, unique=True),
    sa.Column("stripe_key", sa.Text, nullable=False),
    sa.Column("failure_reason", sa.Text),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("tries", sa.Integer, nullable=False, server_default=sa.text("0")),
    sa.CheckConstraint("amount > 0", name="refunds_amount_positive"),
)
sa.Index("refunds_payment", refunds.c.payment_id)
sa.Index("refunds_open", refunds.c.next_try_at, postgresql_where=refunds.c.status.in_(["new", "pending"]))

# Refunds at Stripe that cannot be right, so that they are not in the books: somebody has to look.
differences = sa.Table(
    "differences",
    metadata,
    sa.Column("stripe_id", sa.Text, primary_key=True),
    sa.Column("payment_id", sa.Uuid(as_uuid=False), sa.ForeignKey(payments.c.id), nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("found_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
)

# `reference` says what the transaction stands for, such as "charge:<payment>", and lets it be written once.
ledger_transactions = sa.Table(
    "ledger_transactions",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("reference", sa.Text, nullable=False, unique=True),
    sa.Column("payment_id", sa.Uuid(as_uuid=False), sa.ForeignKey(payments.c.id), nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
)
sa.Index("ledger_transactions_payment", ledger_transactions.c.payment_id)

# A deferred constraint trigger (see the migration) lets no transaction commit whose entries do not sum to zero.
ledger_entries = sa.Table(
    "ledger_entries",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("transaction_id", sa.BigInteger, sa.ForeignKey(ledger_transactions.c.id), nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
)
sa.Index("ledger_entries_transaction", ledger_entries.c.transaction_id)

# What sellers of tickets have to get, each listing once; money in minor units: what the buyer paid, the site's fee,
# what is kept back since it was refunded to the seller, and what is left for the seller.
payouts = sa.Table(
    "payouts",
    metadata,
    sa.Column("id", sa.Uuid(as_uuid=False), primary_key=True),
    sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=False),
    sa.Column("listing_id", sa.Uuid(as_uuid=False), nullable=False, unique=True),
    sa.Column("payment_id", sa.Uuid(as_uuid=False), sa.ForeignKey(payments.c.id), nullable=False),
    # Where the ticket came from and what the seller had paid for it: that is not refunded to the seller any more.
    sa.Column("sold_reservation_id", sa.Uuid(as_uuid=False), nullable=False),
    sa.Column("sold_amount", sa.BigInteger, nullable=False),
    sa.Column("price", sa.BigInteger, nullable=False),
    sa.Column("fee", sa.BigInteger, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("paid_at", sa.DateTime(timezone=True)),
    sa.Column("paid_by", sa.Uuid(as_uuid=False)),
    sa.Column("note", sa.Text),
    sa.Column("withheld", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.CheckConstraint(
        "fee >= 0 AND withheld >= 0 AND amount >= 0 AND fee + withheld + amount = price", name="payouts_sum"
    ),
)
sa.Index("payouts_account", payouts.c.account_id, payouts.c.created_at, payouts.c.id)
sa.Index("payouts_created", payouts.c.created_at, payouts.c.id)
sa.Index("payouts_due", payouts.c.created_at, payouts.c.id, postgresql_where=payouts.c.paid_at.is_(None))
sa.Index("payouts_sold", payouts.c.sold_reservation_id)

deliveries = deliveries_table(metadata, SCHEMA)
site_events = site_events_table(metadata, SCHEMA)
# `problem`: why an event that Stripe has signed could not be understood.
inbox = inbox_table(metadata, SCHEMA, sa.Column("problem", sa.Text))
idempotency_keys = idempotency_table(metadata, SCHEMA)
