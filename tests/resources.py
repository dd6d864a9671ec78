"""What one test has on the shared servers: databases and topics of its own."""

import secrets
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from matchday.servers import Postgres


@dataclass(frozen=True)
class Topics:
    """The names of the two topics of one test."""

    masterlist: str
    sales: str


@dataclass(frozen=True)
class Databases:
    """Makes databases on the tests' server, as copies of a migrated one."""

    server: Postgres
    template: str
    made: list[str] = field(default_factory=list)

    def create(self) -> str:
        """The address of a new database with all migrations."""
        name = f"test_{secrets.token_hex(6)}"
        create = "CREATE DATABASE {} TEMPLATE {}"
        self._execute(sql.SQL(create).format(sql.Identifier(name), sql.Identifier(self.template)))
        self.made.append(self.server.url(name))
        return self.made[-1]

    def drop(self, url: str) -> None:
        """Drop it, whoever is still connected."""
        name = url.rpartition("/")[2]
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def drop_all(self) -> None:
        while self.made:
            self.drop(self.made.pop())

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.server.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)
