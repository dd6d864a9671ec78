"""The keys that access tokens are signed with, over the life of a site, on a real PostgreSQL."""

import concurrent.futures
from collections.abc import Iterator

import jwt
import pytest

from shared.clock import FixedClock, SystemClock
from shared.database import Database
from shared.errors import NotFound, Unauthenticated
from shared.http.identity import JwksAccounts
from shared.settings import load
from tests.people import open_users, settings_of
from users import store
from users.keys import KEPT_SECONDS, KeyRing
from users.letters import Office
from users.settings import KeySettings, UsersWorkerSettings
from users.worker import run_once

DAY = 86_400


class Keys:
    """A site's keys, seen by any number of processes with one clock."""

    def __init__(self, database_url: str, clock: FixedClock) -> None:
        self.given = settings_of(database_url)
        self.clock = clock
        self.database = Database(load(KeySettings, self.given), "test")

    def ring(self, **changed: str) -> KeyRing:
        """Another process' view; its memory of the keys ages with the clock."""
        settings = load(KeySettings, self.given | changed)
        return KeyRing(self.database, settings, self.clock, lambda: self.clock.now().timestamp())

    def kids(self) -> list[str]:
        with self.database.transaction() as connection:
            return [key.kid for key in store.list_keys(connection)]


@pytest.fixture
def keys(database_url: str) -> Iterator[Keys]:
    made = Keys(database_url, FixedClock(SystemClock().now()))
    yield made
    made.database.close()


def published(ring: KeyRing) -> list[str]:
    return [key["kid"] for key in ring.jwks()["keys"]]


def test_processes_that_start_together_agree_on_the_first_key(keys: Keys) -> None:
    rings = [keys.ring() for _ in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        signing = {kid for kid, _ in pool.map(lambda ring: ring.signing(), rings)}
    assert len(signing) == 1
    assert keys.kids() == list(signing)


def test_the_private_part_is_encrypted(keys: Keys) -> None:
    _, private = keys.ring().signing()
    with keys.database.transaction() as connection:
        (key,) = store.list_keys(connection)
    assert private.private_bytes_raw() not in key.sealed
    assert "d" not in keys.ring().jwks()["keys"][0]


def test_keys_change_in_time_and_every_valid_token_has_its_key(keys: Keys) -> None:
    """Half a year: the worker looks every six hours, a verifier knows the keys of five minutes ago."""
    ring, worker = keys.ring(), keys.ring()
    signers: list[str] = []
    known: set[str] = set()
    for _ in range(4 * 183):
        worker.rotate()
        known = set(published(ring))
        keys.clock.advance(300)
        kid, _ = ring.signing()
        assert kid in known, "a key signs that a verifier has not seen yet"
        if not signers or signers[-1] != kid:
            signers.append(kid)
        keys.clock.advance(600)
        assert kid in published(ring), "a token is still valid, and its key is gone"
        keys.clock.advance(DAY / 4 - 900)
    assert len(signers) == 3
    assert len(keys.kids()) <= 2
    assert len(known) <= 2


def test_the_worker_changes_keys_and_removes_old_ones(keys: Keys) -> None:
    settings = load(UsersWorkerSettings, keys.given)
    ring = keys.ring()
    first, _ = ring.signing()
    keys.clock.advance(90 * DAY)
    run_once(Office(keys.database, settings, keys.clock), keys.ring())
    assert len(keys.kids()) == 2
    keys.clock.advance(settings.key_lead_seconds + KEPT_SECONDS)
    assert ring.signing()[0] != first
    keys.clock.advance(3600)
    run_once(Office(keys.database, settings, keys.clock), keys.ring())
    assert first not in keys.kids()


def test_an_operator_s_new_key_is_published_first(keys: Keys) -> None:
    ring = keys.ring()
    first, _ = ring.signing()
    made = keys.ring().rotate(wanted=True)
    assert made is not None
    keys.clock.advance(KEPT_SECONDS)
    assert published(ring) == [first, made.kid]
    assert ring.signing()[0] == first
    keys.clock.advance(900)
    assert ring.signing()[0] == made.kid


def test_a_revoked_key_verifies_nothing_once_it_was_looked_at(database_url: str) -> None:
    clock = FixedClock(SystemClock().now())
    with open_users(database_url, clock) as users:
        ada = users.sign_up("ada@example.org")
        database = users.office.database
        ring = KeyRing(database, users.settings, clock, lambda: clock.now().timestamp())
        verifier = JwksAccounts(ring.jwks, "matchday", 300, lambda: clock.now().timestamp())
        assert verifier.verify(ada.access).id == ada.id
        ring.revoke(jwt.get_unverified_header(ada.access)["kid"])
        clock.advance(KEPT_SECONDS)
        verifier._keys.refresh()
        with pytest.raises(Unauthenticated):
            verifier.verify(ada.access)
        with pytest.raises(NotFound):
            ring.revoke("no such key")
        assert len(published(ring)) == 1


def test_with_another_secret_new_tokens_are_signed_and_old_ones_stay_valid(keys: Keys) -> None:
    old = keys.ring()
    first, _ = old.signing()
    new = keys.ring(USERS_SECRET="another secret of the site")
    second, _ = new.signing()
    assert second != first
    assert published(new) == [first, second]
