"""Tickets that are sold again, as buyers see them: what the service reservations tells of its listings."""
