"""Idempotency keys on a real PostgreSQL: one effect a key, whatever comes together."""

import contextlib
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import MetaData, Table, select, text
from sqlalchemy.schema import CreateSchema

from shared.database import Database
from shared.errors import IdempotencyKeyReused
from shared.http import BodyModel
from shared.idempotency import Claim, Verdict, body_hash, claim, claim_many, expire, forget_many, idempotency_table
from shared.settings import DatabaseSettings, load

NOW = datetime(2022, 11, 20, 16, tzinfo=UTC)
metadata = MetaData()
KEYS: Table = idempotency_table(metadata, "keys_test")


class Order(BodyModel):
    match_number: int
    quantity: int = 1


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(load(DatabaseSettings, {"DATABASE_URL": database_url, "DATABASE_POOL_SIZE": "20"}), "test")
    with database.transaction() as connection:
        connection.execute(CreateSchema("keys_test"))
        metadata.create_all(connection)
    yield database
    database.close()


def _claim(key: str, body: bytes = b"body", scope: str = "orders", resource: str | None = None) -> Claim:
    return Claim(scope, key, body, resource or str(uuid.uuid4()))


def _count(database: Database) -> int:
    with database.transaction() as connection:
        return len(connection.execute(select(KEYS.c.key)).all())


def test_a_new_key_is_new_and_its_repetition_is_a_replay(database: Database) -> None:
    first = _claim("k")
    with database.transaction() as connection:
        assert claim(connection, KEYS, first, NOW).verdict is Verdict.NEW
    with database.transaction() as connection:
        again = claim(connection, KEYS, _claim("k"), NOW)
    assert (again.verdict, again.resource_id) == (Verdict.REPLAY, first.resource_id)


def test_the_same_key_with_another_body_is_refused(database: Database) -> None:
    with database.transaction() as connection:
        claim(connection, KEYS, _claim("k"), NOW)
    with pytest.raises(IdempotencyKeyReused), database.transaction() as connection:
        claim(connection, KEYS, _claim("k", b"other"), NOW)


def test_scopes_keep_callers_apart(database: Database) -> None:
    with database.transaction() as connection:
        assert claim(connection, KEYS, _claim("k", scope="a"), NOW).verdict is Verdict.NEW
        assert claim(connection, KEYS, _claim("k", scope="b"), NOW).verdict is Verdict.NEW


def test_what_is_undone_frees_the_key(database: Database) -> None:
    with contextlib.suppress(RuntimeError), database.transaction() as connection:
        claim(connection, KEYS, _claim("k"), NOW)
        raise RuntimeError("the sale failed")
    with database.transaction() as connection:
        assert claim(connection, KEYS, _claim("k", b"other"), NOW).verdict is Verdict.NEW


def test_a_batch_is_judged_one_by_one_in_its_order(database: Database) -> None:
    old = _claim("old")
    with database.transaction() as connection:
        claim(connection, KEYS, old, NOW)
    wishes = [_claim("b"), _claim("old"), _claim("a"), _claim("b"), _claim("b", b"other"), _claim("old", b"other")]
    with database.transaction() as connection:
        outcomes = claim_many(connection, KEYS, wishes, NOW)
    assert [outcome.verdict.value for outcome in outcomes] == ["new", "replay", "new", "replay", "reused", "reused"]
    assert outcomes[3].resource_id == wishes[0].resource_id
    assert outcomes[1].resource_id == old.resource_id


def test_an_empty_batch_asks_nothing(database: Database) -> None:
    with database.transaction() as connection:
        assert claim_many(connection, KEYS, [], NOW) == []
        forget_many(connection, KEYS, [])


def test_a_refused_request_gives_its_key_back(database: Database) -> None:
    with database.transaction() as connection:
        claim_many(connection, KEYS, [_claim("a"), _claim("b")], NOW)
        forget_many(connection, KEYS, [("orders", "a")])
    with database.transaction() as connection:
        outcomes = claim_many(connection, KEYS, [_claim("a"), _claim("b")], NOW)
    assert [outcome.verdict for outcome in outcomes] == [Verdict.NEW, Verdict.REPLAY]


def test_of_many_requests_at_once_one_has_the_effect_and_all_get_it(database: Database) -> None:
    barrier = threading.Barrier(12)

    def request() -> str:
        barrier.wait(10)
        with database.transaction() as connection:
            return claim(connection, KEYS, _claim("k"), NOW).resource_id

    with ThreadPoolExecutor(12) as threads:
        got = {future.result(30) for future in [threads.submit(request) for _ in range(12)]}
    assert len(got) == 1
    assert _count(database) == 1


def test_who_waits_for_a_request_that_fails_has_the_effect_itself(database: Database) -> None:
    claimed, waiting = threading.Event(), threading.Event()

    def fails() -> None:
        with contextlib.suppress(RuntimeError), database.transaction() as connection:
            claim(connection, KEYS, _claim("k"), NOW)
            claimed.set()
            assert waiting.wait(10)
            raise RuntimeError

    def second() -> Verdict:
        assert claimed.wait(10)
        with database.transaction() as connection:
            waiting.set()
            return claim(connection, KEYS, _claim("k"), NOW).verdict

    with ThreadPoolExecutor(2) as threads:
        failing, verdict = threads.submit(fails), threads.submit(second)
        failing.result(30)
        assert verdict.result(30) is Verdict.NEW


def test_batches_with_the_same_keys_in_any_order_do_not_lock_each_other_out(database: Database) -> None:
    names = [f"k{number}" for number in range(30)]

    def batch(order: list[str]) -> list[str]:
        with database.transaction() as connection:
            return [found.resource_id for found in claim_many(connection, KEYS, [_claim(key) for key in order], NOW)]

    with ThreadPoolExecutor(8) as threads:
        batches = [threads.submit(batch, names if number % 2 else names[::-1]) for number in range(16)]
        got = [found.result(30) if number % 2 else found.result(30)[::-1] for number, found in enumerate(batches)]
    assert all(ids == got[0] for ids in got)


def test_old_keys_expire_a_bounded_number_at_a_time(database: Database) -> None:
    with database.transaction() as connection:
        for age in range(5):
            claim(connection, KEYS, _claim(f"k{age}"), NOW - timedelta(hours=age))
    with database.transaction() as connection:
        assert expire(connection, KEYS, NOW - timedelta(hours=1), limit=2) == 2
        assert expire(connection, KEYS, NOW - timedelta(hours=1), limit=2) == 1
        assert expire(connection, KEYS, NOW - timedelta(hours=1)) == 0
    with database.transaction() as connection:
        left = set(connection.execute(select(KEYS.c.key)).scalars())
    assert left == {"k0", "k1"}


def test_expiry_does_not_wait_for_others(database: Database) -> None:
    with database.transaction() as connection:
        claim_many(connection, KEYS, [_claim("a"), _claim("b")], NOW - timedelta(days=1))
    with database.transaction() as busy:
        busy.execute(text("SELECT 1 FROM keys_test.idempotency_keys WHERE key = 'a' FOR UPDATE"))
        with database.transaction() as connection:
            assert expire(connection, KEYS, NOW) == 1


def test_the_hash_is_of_what_the_body_means() -> None:
    plain = Order.model_validate_json('{"matchNumber":1}')
    spaced = Order.model_validate_json('{ "quantity" : 1, "matchNumber" : 1 }')
    assert body_hash(plain) == body_hash(spaced)
    assert body_hash(plain) != body_hash(Order.model_validate_json('{"matchNumber":1,"quantity":2}'))
