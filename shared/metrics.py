"""Every metric of every service, in one place, so that names and labels stay few and consistent.

Names follow Prometheus: unit last, `_total` for counters. A label never carries what a caller can choose
freely: paths appear as route templates, methods and codes from closed lists.
"""

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

# HTTP
HTTP_REQUESTS = Counter("matchday_http_requests_total", "Requests answered.", ["route", "method", "status"])
HTTP_SECONDS = Histogram(
    "matchday_http_request_seconds",
    "Time from a request's headers to its response's.",
    ["route", "method"],
    buckets=_SECONDS,
)
HTTP_IN_PROGRESS = Gauge("matchday_http_requests_in_progress", "Requests being worked on.")
HTTP_QUIET_CONNECTIONS = Counter(
    "matchday_http_quiet_connections_total",
    "Connections closed because nothing of ours arrived at the client for long.",
)

# Shop
STREAM_VIEWERS = Gauge("matchday_stream_viewers", "Open streams of availability.")
SNAPSHOT_SECONDS = Histogram("matchday_snapshot_seconds", "Time to read the matches' snapshot.", buckets=_SECONDS)

# The log
LOG_RECORDS = Counter("matchday_log_records_total", "Records of the sales log applied or refused.")
LOG_REFUSED = Counter("matchday_log_refused_total", "Records of the sales log refused.", ["reason"])
LOG_EVIDENCE = Counter("matchday_log_evidence_total", "Things in the log that an operator should know.", ["kind"])
LOG_BATCH_SECONDS = Histogram("matchday_log_batch_seconds", "Time to apply one batch of the log.", buckets=_SECONDS)
LOG_LAG = Gauge("matchday_log_lag_records", "Records of the sales log that are not applied yet.", ["partition"])

# Security
GATE_DECISIONS = Counter("matchday_gate_decisions_total", "What the gate decided.", ["rate_class", "verdict", "reason"])
GATE_SECONDS = Histogram(
    "matchday_gate_seconds",
    "Time of the gate's decision about a request.",
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1),
)
GATE_ALONE = Gauge("matchday_gate_alone", "1 while Redis is away and this process decides by itself.")
AUDIT_WAITING = Gauge("matchday_audit_waiting", "Decisions in Redis that are not in the audit log yet.")
AUDIT_LOST = Counter("matchday_audit_lost_total", "Looks that found decisions dropped.")

# Payments
PAYMENT_EVENTS = Counter("matchday_payment_events_total", "Events that Stripe has signed.", ["outcome"])
PAYMENT_DIFFERENCES = Counter("matchday_payment_differences_total", "Refunds at Stripe that the books do not take.")
PAYMENT_DECLINES = Counter("matchday_payment_declines_total", "Cards declined while a buyer paid at Stripe.")

# Resale
LISTING_CHANGES = Counter("matchday_listing_changes_total", "What happened to listings.", ["kind"])

# Waiting rooms
WAITING_ROOM_PLACES = Counter("matchday_waiting_room_places_total", "What became of places and requests.", ["event"])
WAITING_ROOM_WAITING = Gauge("matchday_waiting_room_waiting", "Places in a match's line.", ["match_number"])
WAITING_ROOM_INSIDE = Gauge("matchday_waiting_room_inside", "People let in who hold nothing yet.", ["match_number"])

# The lake's figures
LAKE_TICKETS = Gauge("matchday_lake_tickets", "Tickets by what the lake's log says of them.", ["what"])
LAKE_POOLS = Gauge("matchday_lake_pools", "Pools of the catalogue in the lake.", ["state"])
LAKE_DRIFT = Gauge("matchday_lake_drift_records", "Records that show that a site did what it should not.", ["kind"])
LAKE_AGE = Gauge("matchday_lake_age_seconds", "Age of the newest record in the lake.")

# The data lake
LAKE_LAG = Gauge("matchday_lake_lag_records", "Records that are not in the lake yet.", ["topic"])
LAKE_LEFT_OUT = Gauge("matchday_lake_left_out_records", "Of those its writer has read, without a row.", ["reason"])
LAKE_SILENT = Gauge("matchday_lake_silent_seconds", "Time since the lake's writer was last heard of.")

# Between services
DELIVERIES = Counter("matchday_deliveries_total", "Attempts to tell another service something.", ["target", "outcome"])

# Recommendations
ADVICE = Counter("matchday_advice_total", "What became of the shop's questions to analytics.", ["outcome"])

# This site's own events
SITE_EVENTS = Counter("matchday_site_events_total", "Events of this site on their way to analytics.", ["outcome"])


def exposition() -> tuple[bytes, str]:
    """All metrics of this process as Prometheus reads them, and the media type."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
