"""The kernel that every service stands on: no business rule lives here."""

VERSION = "0.1.0"
