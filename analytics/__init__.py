"""analytics, port 3060: the data lake of all bookings, figures from it, and recommendations.

Reads the sales log of all sites, the master list and this site's own events from Kafka. Nothing of the sale depends on
it: every other service works on while it is down.
"""
