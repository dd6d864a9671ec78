"""One Alembic history for all services, a schema each."""
