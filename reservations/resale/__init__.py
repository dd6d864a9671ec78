"""Tickets that are sold again: listed by their owners or by the site, held by one buyer, and handed over when paid."""
