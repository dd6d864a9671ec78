"""Figures from the lake: bookings, conversion, revenue, when pools sell out, and what sites do wrong."""
