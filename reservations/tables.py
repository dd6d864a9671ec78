"""Tables of the schema `reservations`. A reservation's status is its sale's: it is kept in one place only."""

import sqlalchemy as sa

from shared.delivery import deliveries_table
from shared.event_outbox import site_events_table
from shared.idempotency import idempotency_table
from shared.inbox import inbox_table
from shared.mail import mails_table

SCHEMA = "reservations"
metadata = sa.MetaData(schema=SCHEMA)

reservations = sa.Table(
    "reservations",
    metadata,
    sa.Column("id", sa.Uuid(as_uuid=False), primary_key=True),
    # The sale that stands for it in the counters and in the log; a new one when a late payment asks again.
    sa.Column("sale_id", sa.Text, nullable=False, unique=True),
    sa.Column("buyer", sa.Text, nullable=False),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("match_number", sa.Integer, nullable=False),
    sa.Column("category", sa.Integer, nullable=False),
    sa.Column("quantity", sa.Integer, nullable=False),
    sa.Column("price", sa.Numeric(12, 2), nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("confirmed_at", sa.DateTime(timezone=True)),
    # Paid, but its hold had run out in the log: the sale has asked again and waits for the verdict.
    sa.Column("resubmitted", sa.Boolean, nullable=False, server_default=sa.false()),
    # Of users; nothing for a guest's.
    sa.Column("account_id", sa.Uuid(as_uuid=False)),
    # What its buyer must be written: "tickets", "refund", or nothing (any more).
    sa.Column("mail_due", sa.Text),
    # What it is a resale of; nothing for a sale of the site's own stock. Its `sale_id` is then in no counters.
    sa.Column("listing_id", sa.Uuid(as_uuid=False)),
    # Its money has gone back, and the worker is to offer its tickets again.
    sa.Column("relist_due", sa.Boolean, nullable=False, server_default=sa.false()),
    # Of the letters and of the printed tickets, by its ISO 639 code.
    sa.Column("language", sa.Text, nullable=False, server_default="en"),
    # Where its buyer was from, by ISO 3166-1 alpha-2, as far as it was known; for analytics.
    sa.Column("country", sa.Text),
)
sa.Index("reservations_resubmitted", reservations.c.created_at, postgresql_where=reservations.c.resubmitted)
sa.Index("reservations_buyer", reservations.c.buyer, reservations.c.match_number)
sa.Index(
    "reservations_account",
    reservations.c.account_id,
    reservations.c.created_at,
    reservations.c.id,
    postgresql_where=reservations.c.account_id.is_not(None),
)
sa.Index("reservations_relist_due", reservations.c.created_at, postgresql_where=reservations.c.relist_due)
sa.Index("reservations_mail_due", reservations.c.created_at, postgresql_where=reservations.c.mail_due.is_not(None))

# What payments has told of money, each payment once; of those that stand a reservation has one at most.
charges = sa.Table(
    "charges",
    metadata,
    sa.Column("payment_id", sa.Text, primary_key=True),
    sa.Column("reservation_id", sa.Uuid(as_uuid=False), sa.ForeignKey(reservations.c.id), nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
)
sa.Index("charges_standing", charges.c.reservation_id, unique=True, postgresql_where=charges.c.outcome != "refused")
sa.Index("charges_reservation", charges.c.reservation_id)

tickets = sa.Table(
    "tickets",
    metadata,
    sa.Column("id", sa.Uuid(as_uuid=False), primary_key=True),
    sa.Column("reservation_id", sa.Uuid(as_uuid=False), sa.ForeignKey(reservations.c.id), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("match_number", sa.Integer, nullable=False),
    sa.Column("category", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
    # The ticket of who has bought this one's place in a resale; this one is void for good then.
    sa.Column("replaced_by", sa.Uuid(as_uuid=False), sa.ForeignKey("reservations.tickets.id")),
)
# A void ticket makes room for another that is paid once more, unless its place is somebody else's now.
sa.Index(
    "tickets_of_reservation",
    tickets.c.reservation_id,
    tickets.c.number,
    unique=True,
    postgresql_where=sa.or_(tickets.c.state != "void", tickets.c.replaced_by.is_not(None)),
)
sa.Index("tickets_by_reservation", tickets.c.reservation_id)
sa.Index("tickets_void", tickets.c.id, postgresql_where=tickets.c.state == "void")

# Who went in. The index lets in one a ticket, whatever the number of scanners; further ones are kept as evidence.
admissions = sa.Table(
    "admissions",
    metadata,
    sa.Column("number", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("ticket_id", sa.Uuid(as_uuid=False), sa.ForeignKey(tickets.c.id), nullable=False),
    sa.Column("scanner", sa.Text, nullable=False),
    sa.Column("admitted_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("offline", sa.Boolean, nullable=False),
    sa.Column("double_use", sa.Boolean, nullable=False),
    sa.Column("key", sa.Text),
)
sa.Index("admissions_first", admissions.c.ticket_id, unique=True, postgresql_where=sa.not_(admissions.c.double_use))
sa.Index("admissions_double", admissions.c.number, postgresql_where=admissions.c.double_use)
sa.Index("admissions_ticket", admissions.c.ticket_id)

# Tickets that are sold again; money in minor units. A seller is an account, or the site with what came back to it.
listings = sa.Table(
    "listings",
    metadata,
    sa.Column("id", sa.Uuid(as_uuid=False), primary_key=True),
    sa.Column("ticket_id", sa.Uuid(as_uuid=False), sa.ForeignKey(tickets.c.id), nullable=False),
    sa.Column("seller_id", sa.Uuid(as_uuid=False)),
    sa.Column("by_site", sa.Boolean, nullable=False),
    sa.Column("match_number", sa.Integer, nullable=False),
    sa.Column("category", sa.Integer, nullable=False),
    sa.Column("price", sa.BigInteger, nullable=False),
    sa.Column("face_price", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("held_by", sa.Uuid(as_uuid=False), sa.ForeignKey(reservations.c.id)),
    sa.Column("version", sa.Integer, nullable=False),
    # The admin who has ended it, and why.
    sa.Column("ended_by", sa.Uuid(as_uuid=False)),
    sa.Column("note", sa.Text),
    sa.CheckConstraint("price > 0", name="listings_price_positive"),
)
# What admins look through, newest first.
sa.Index("listings_created", listings.c.created_at, listings.c.id)
sa.Index("listings_match", listings.c.match_number, listings.c.created_at, listings.c.id)
LIVE_LISTING = listings.c.state.in_(["open", "held"])
# One ticket is offered once; this also bounds what the worker looks through.
sa.Index("listings_live", listings.c.ticket_id, unique=True, postgresql_where=LIVE_LISTING)
sa.Index(
    "listings_seller",
    listings.c.seller_id,
    listings.c.created_at,
    listings.c.id,
    postgresql_where=listings.c.seller_id.is_not(None),
)

# What stands for a resale's sale: no counter moves, so its state is kept here. Changed under the listing's lock only.
resale_holds = sa.Table(
    "resale_holds",
    metadata,
    sa.Column("sale_id", sa.Text, primary_key=True),
    sa.Column("reservation_id", sa.Uuid(as_uuid=False), sa.ForeignKey(reservations.c.id), nullable=False, unique=True),
    sa.Column("listing_id", sa.Uuid(as_uuid=False), sa.ForeignKey(listings.c.id), nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
)
sa.Index("resale_holds_open", resale_holds.c.expires_at, postgresql_where=resale_holds.c.state == "held")

idempotency_keys = idempotency_table(metadata, SCHEMA)
deliveries = deliveries_table(metadata, SCHEMA)
site_events = site_events_table(metadata, SCHEMA)
inbox = inbox_table(metadata, SCHEMA)
mails = mails_table(metadata, SCHEMA)
