"""Two sites of ours and a partner on one broker, as the tests of this folder see them."""

import base64
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import dict_row

from tests.eventually import eventually
from tests.resources import Topics
from tests.sites import RunningSite
from tests.system.federation.partner import Partner, Place

CAPACITY = 20
APPLIED_SECONDS = 20.0


class Counted(NamedTuple):
    """A pool in the specification's words: `pending` may still be held, `reserved` are not sold for good."""

    capacity: int
    pending: int
    reserved: int


UNTOUCHED = Counted(CAPACITY, CAPACITY, CAPACITY)


@dataclass
class Member:
    """One site with a look into its database."""

    site: RunningSite
    sql: psycopg.Connection[dict[str, Any]]

    @classmethod
    def of(cls, site: RunningSite) -> "Member":
        return cls(site, psycopg.connect(site.database_url, autocommit=True, row_factory=dict_row))

    @property
    def client_id(self) -> str:
        return self.site.name

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        return self.sql.execute(query.encode(), values).fetchall()

    def counted(self, match: int) -> dict[int, Counted]:
        """Every pool of a match, not cut at 0."""
        rows = self.rows(
            "SELECT category, capacity, capacity - held - sold AS pending, capacity - sold AS reserved"
            " FROM (SELECT *, (capacities->-1->>1)::int AS capacity FROM shop.pools WHERE match_number = %s) p",
            match,
        )
        return {row["category"]: Counted(row["capacity"], row["pending"], row["reserved"]) for row in rows}

    def in_log(self, match: int) -> dict[int, tuple[int, int]]:
        """What the log alone has shown of each pool of a match: held and sold."""
        rows = self.rows("SELECT category, log_held, log_sold FROM shop.pools WHERE match_number = %s", match)
        return {row["category"]: (row["log_held"], row["log_sold"]) for row in rows}

    def flags(self, match: int) -> list[str]:
        """The kinds of what was flagged of a match, oldest first."""
        return [row["kind"] for row in self.evidence(match)]

    def evidence(self, match: int) -> list[dict[str, Any]]:
        return self.rows("SELECT * FROM shop.evidence WHERE match_number = %s ORDER BY id", match)

    def clock_ms(self, topic: str, partition: int) -> int | None:
        rows = self.rows(
            "SELECT clock_ms FROM shop.log_positions WHERE topic = %s AND partition = %s", topic, partition
        )
        return rows[0]["clock_ms"] if rows else None

    def has_applied(self, place: Place) -> bool:
        rows = self.rows(
            "SELECT next_offset FROM shop.log_positions WHERE topic = %s AND partition = %s",
            place.topic,
            place.partition,
        )
        return bool(rows) and rows[0]["next_offset"] > place.offset

    def get(self, path: str, **query: Any) -> Any:
        """What the consumer's HTTP side answers."""
        answer = self.site.client("shop-consumer").get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(self, place: Place) -> list[dict[str, Any]]:
        """The refused records kept of one place in the log: one or none."""
        items: list[dict[str, Any]] = []
        cursor: int | None = 0
        while cursor is not None:
            page = self.get("/api/refused", cursor=cursor, limit=1000)
            items += page["items"]
            cursor = page["nextCursor"]
        return [item for item in items if Place(item["topic"], item["partition"], item["offset"]) == place]

    def replay(self, refused_id: int) -> Any:
        return self.site.client("shop-consumer").post(f"/api/refused/{refused_id}/replay", headers=self.site.operator())


def raw_value(item: dict[str, Any]) -> bytes | None:
    """The bytes that an operator is shown."""
    kept = item["valueBase64"]
    return None if kept is None else base64.b64decode(kept)


@dataclass
class Federation:
    """`ours` and `other` follow the protocol, `partner` writes what it likes."""

    ours: Member
    other: Member
    partner: Partner
    topics: Topics
    ticking: bool = True  # an idle log shows more than the counters: what a record written now would release
    _last: dict[tuple[str, int], Place] = field(default_factory=dict)

    @property
    def members(self) -> tuple[Member, Member]:
        return self.ours, self.other

    def send(self, value: Any, headers: dict[str, str] | None = None, **options: Any) -> Place:
        """The partner writes a sales record."""
        return self.saw(self.partner.send(self.topics.sales, value, headers, **options))

    def publish(self, value: Any, **options: Any) -> Place:
        """An organiser writes a master list record."""
        return self.saw(self.partner.send(self.topics.masterlist, value, **options))

    def saw(self, place: Place) -> Place:
        """Something is in the log up to this place: `settle` waits for it."""
        self._last[place.topic, place.partition] = place
        return place

    def settle(self) -> None:
        """Waits until both sites have applied everything that the partner has written, and what was seen of ours."""
        for member in self.members:
            for place in self._last.values():
                eventually(partial(member.has_applied, place), APPLIED_SECONDS, f"{place} is applied")

    def expect(self, match: int, **pools: tuple[int, int, int]) -> None:
        """Both sites count exactly this; a pool that is not named (`c1=(capacity, pending, reserved)`) is untouched."""
        for member in self.members:
            self.expect_at(member, match, **pools)

    def expect_at(self, member: Member, match: int, **pools: tuple[int, int, int]) -> None:
        self.settle()
        expected = {category: Counted(*pools.get(f"c{category}", UNTOUCHED)) for category in (1, 2, 3)}
        assert member.counted(match) == expected, member.client_id
        if self.ticking:
            self._shop_shows(member, match, expected)

    def _shop_shows(self, member: Member, match: int, expected: dict[int, Counted]) -> None:
        """Buyers see the same, never below 0, once what they see includes the last record; it says itself when."""
        last = max((p for p in self._last.values() if p.topic == self.topics.sales), default=None)

        def shown() -> Any:
            answer = member.site.client("shop").get(f"/api/matches/{match}/availability")
            assert answer.status_code == 200, answer.text
            numbers = answer.json()
            assert last is None or Place(*numbers["asOf"].values()) >= last
            return numbers["categories"]

        pools = eventually(shown, what=f"the shop of {member.client_id} shows {last}")
        numbers = {pool["category"]: Counted(pool["capacity"], pool["pending"], pool["reserved"]) for pool in pools}
        assert numbers == {category: Counted(*(max(0, n) for n in pool)) for category, pool in expected.items()}
