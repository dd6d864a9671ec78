"""The links at the head of each page."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.kernel.words import N_, _

if TYPE_CHECKING:
    from client.kernel.visits import Visit


@dataclass(frozen=True)
class Place:
    """One link, and who sees it."""

    path: str
    words: str
    shown_to: Callable[["Visit"], bool]


def _everybody(_visit: "Visit") -> bool:
    return True


def _signed_in(visit: "Visit") -> bool:
    return visit.account is not None


def _gate(visit: "Visit") -> bool:
    return visit.may("gate", "admin")


def _guests(visit: "Visit") -> bool:
    return visit.account is None


def _admins(visit: "Visit") -> bool:
    return visit.may("admin")


PLACES = (
    Place("/matches", N_("Matches"), _everybody),
    Place("/resale", N_("Resale"), _everybody),
    Place("/tickets", N_("My tickets"), _everybody),
    Place("/gate", N_("Gate"), _gate),
    Place("/account", N_("Account"), _signed_in),
    Place("/admin", N_("Admin"), _admins),
    Place("/sign-in", N_("Sign in"), _guests),
)


def navigation(visit: "Visit") -> list[tuple[str, str]]:
    """Path and words of each link that this visitor sees."""
    return [(place.path, _(place.words)) for place in PLACES if place.shown_to(visit)]
