"""Accounts that are gone: their pseudonyms leave the lake, and stay out of it."""
