"""Argon2id: few at once, as each takes memory, and always the same amount of work."""

import contextlib
import secrets
import threading
from collections.abc import Iterator, Sequence

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from shared.errors import Overloaded
from users.domain import normalized
from users.settings import UsersSettings

WAIT_SECONDS_MAX = 5.0
WAITING_MAX = 8  # for each place; who comes then is told at once, and holds no thread


@contextlib.contextmanager
def _entered(places: threading.BoundedSemaphore, seconds: float) -> Iterator[None]:
    if not places.acquire(timeout=seconds):
        raise Overloaded("too many passwords are being checked")
    try:
        yield
    finally:
        places.release()


class Passwords:
    """Hashes and verifies passwords with the parameters of the settings."""

    def __init__(self, settings: UsersSettings) -> None:
        self._hasher = PasswordHasher(
            time_cost=settings.password_rounds,
            memory_cost=settings.password_memory_kib,
            parallelism=settings.password_lanes,
        )
        self._places = threading.BoundedSemaphore(settings.password_hashes_at_once)
        self._queue = threading.BoundedSemaphore(settings.password_hashes_at_once * (1 + WAITING_MAX))
        # Of a password that nobody has: to compare with where there is no account.
        self._nobodys = self._hasher.hash(secrets.token_urlsafe(32))

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        with _entered(self._queue, 0.0), _entered(self._places, WAIT_SECONDS_MAX):
            yield

    def hash(self, password: str) -> str:
        """The hash, with its parameters and salt. Raises `Overloaded`."""
        with self._place():
            return self._hasher.hash(normalized(password))

    def find(self, password: str, hashes: Sequence[str | None]) -> int | None:
        """Which of these hashes is the password's; None stands for an account that there is not.

        A password that is wrong costs the same whichever are missing. Raises `Overloaded`.
        """
        plain = normalized(password)
        with self._place():
            for number, hashed in enumerate(hashes):
                if self._matches(hashed or self._nobodys, plain) and hashed is not None:
                    return number
        return None

    def _matches(self, hashed: str, plain: str) -> bool:
        try:
            return self._hasher.verify(hashed, plain)
        except (VerificationError, InvalidHashError):
            return False

    def is_outdated(self, hashed: str) -> bool:
        """Whether it was made with other parameters than the present ones."""
        return self._hasher.check_needs_rehash(hashed)
