"""The table of names that matches are found by, in the schema `shop`. Written by the shop, from the catalogue."""

import sqlalchemy as sa

SCHEMA = "shop"
metadata = sa.MetaData(schema=SCHEMA)

search_names = sa.Table(
    "search_names",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("spelling", sa.Text, primary_key=True),
)
# Serves parts of names (LIKE), whole ones (=) and names that look alike (%>).
sa.Index(
    "search_names_trigrams",
    search_names.c.spelling,
    postgresql_using="gin",
    postgresql_ops={"spelling": "gin_trgm_ops"},
)
