"""The counters of every pool: the one place that writes them.

`shop_consumer` applies the log to them, `reservations` holds, confirms and releases for this site's buyers.
"""
