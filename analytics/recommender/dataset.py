"""What visitors did, out of the lake, and its cut in time: a model learns from what was before its test."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from analytics.lake.lake import Lake
from analytics.lake.tables import SITE_EVENTS
from analytics.recommender.catalogue import Catalogue, Floats, Ints
from shared.site_events import EventKind

Bools = NDArray[np.bool_]
NOBODY = -1  # a guest, an unknown country, a search for no team
# How much more than a look each kind of event says of what somebody likes.
WEIGHTS = {
    EventKind.MATCH_VIEWED: 1.0,
    EventKind.SEARCHED: 1.0,
    EventKind.RESERVATION_SUBMITTED: 3.0,
    EventKind.RESERVATION_HELD: 3.0,
    EventKind.RESERVATION_RESERVED: 5.0,
}
BOUGHT = frozenset({EventKind.RESERVATION_SUBMITTED, EventKind.RESERVATION_HELD, EventKind.RESERVATION_RESERVED})
SQL = f"""
SELECT kind, happened_at, subject, country, language, match_number, text, synthetic FROM site_events
WHERE kind IN ({", ".join(f"'{kind}'" for kind in WEIGHTS)}) AND (match_number IS NOT NULL OR text IS NOT NULL)
    AND happened_at >= $since
ORDER BY happened_at DESC LIMIT $most
"""
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Events:
    """One row an event, in the order of time. Columns are indexes into the names, or `NOBODY`.

    `at` is in days since 1970, UTC. `match` or `team` (of a search) is known, never both.
    """

    subjects: tuple[str, ...]
    countries: tuple[str, ...]
    languages: tuple[str, ...]
    at: Floats
    subject: Ints
    country: Ints
    language: Ints
    match: Ints
    team: Ints
    weight: Floats
    is_bought: Bools
    is_synthetic: Bools

    def __len__(self) -> int:
        return len(self.at)

    def where(self, chosen: Bools) -> "Events":
        """Those rows; the names stay as they are."""
        columns = {name: getattr(self, name)[chosen] for name in COLUMNS}
        return Events(self.subjects, self.countries, self.languages, **columns)

    def before(self, day: float) -> "Events":
        return self.where(self.at < day)

    def since(self, day: float) -> "Events":
        return self.where(self.at >= day)

    def matches_of(self, matches: int) -> csr_matrix:
        """What each subject did with each match, in weights (subjects × matches)."""
        return _table(self, self.match, matches, self.weight)

    def bought(self, matches: int) -> csr_matrix:
        """What each subject has put on hold or bought."""
        return _table(self, self.match, matches, self.weight * self.is_bought)

    def teams_of(self, teams: int) -> csr_matrix:
        """What each subject searched for (subjects × teams)."""
        return _table(self, self.team, teams, self.weight)

    def homes(self) -> tuple[Ints, Ints]:
        """The last country and language that is known of each subject."""
        return _last(self.subject, self.country, len(self.subjects)), _last(
            self.subject, self.language, len(self.subjects)
        )

    @property
    def synthetic(self) -> bool:
        return bool(self.is_synthetic.any())


COLUMNS = ("at", "subject", "country", "language", "match", "team", "weight", "is_bought", "is_synthetic")


def read_events(lake: Lake, catalogue: Catalogue, most: int, since: datetime = LONG_AGO) -> Events:
    """The latest `most` events that say what somebody likes."""
    with lake.connect() as connection:
        connection.execute("SET threads = 2")
        connection.execute("SET memory_limit = '1GB'")
        parameters = {"most": most, "since": since.replace(tzinfo=None)}
        rows = connection.sql(SQL, params=parameters).to_arrow_table()
    return _events(rows.sort_by("happened_at"), catalogue)


def positions(lake: Lake) -> dict[str, Any]:
    """Which state of the lake was read: the table's last commit."""
    return {"table": SITE_EVENTS.name, "version": lake.open(SITE_EVENTS).version()}


def _events(rows: pa.Table, catalogue: Catalogue) -> Events:
    match = np.array([catalogue.index.get(number, NOBODY) for number in rows["match_number"].to_pylist()], np.int64)
    team = _teams(rows["text"], catalogue)
    kinds = rows["kind"].to_pylist()
    subjects, subject = _coded(rows["subject"])
    countries, country = _coded(rows["country"])
    languages, language = _coded(rows["language"])
    events = Events(
        subjects,
        countries,
        languages,
        at=rows["happened_at"].cast(pa.int64()).to_numpy() / 86_400e6,
        subject=subject,
        country=country,
        language=language,
        match=match,
        team=team,
        weight=np.array([WEIGHTS[EventKind(kind)] for kind in kinds], dtype=float),
        is_bought=np.array([EventKind(kind) in BOUGHT for kind in kinds], dtype=bool),
        is_synthetic=np.array(rows["synthetic"].to_pylist(), dtype=bool),
    )
    return events.where((events.match != NOBODY) | (events.team != NOBODY))


def _coded(column: pa.ChunkedArray) -> tuple[tuple[str, ...], Ints]:
    coded = column.combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    indices = coded.indices.fill_null(NOBODY).to_numpy(zero_copy_only=False).astype(np.int64)
    return tuple(coded.dictionary.to_pylist()), indices


def _teams(texts: pa.ChunkedArray, catalogue: Catalogue) -> Ints:
    names, indices = _coded(texts)
    found = [catalogue.team_in(name) for name in names]
    of_name = np.array([NOBODY if team is None else team for team in found] + [NOBODY], dtype=np.int64)
    return np.asarray(of_name[indices])  # the last one is for those without a text


def _table(events: Events, column: Ints, width: int, weight: Floats) -> csr_matrix:
    known = (events.subject != NOBODY) & (column != NOBODY) & (weight > 0)
    shape = (len(events.subjects), width)
    return csr_matrix((weight[known], (events.subject[known], column[known])), shape=shape)


def _last(subject: Ints, column: Ints, subjects: int) -> Ints:
    last = np.full(subjects, NOBODY, dtype=np.int64)
    known = (subject != NOBODY) & (column != NOBODY)
    last[subject[known]] = column[known]  # in the order of time: later ones stay
    return last


def cut_at(events: Events, share: float) -> float:
    """The moment before which `share` of the events lies, in days since 1970."""
    return float(np.quantile(events.at, share, method="higher"))
