"""Block and allow lists: networks and accounts, each until a time; looked up in memory."""

import enum
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from security.engine.addresses import Address

BITS = {4: 32, 6: 128}


class Kind(enum.StrEnum):
    """What becomes of those who are listed."""

    ALLOW = "allow"  # not challenged, blocked or limited by address
    BLOCK = "block"
    CHALLENGE = "challenge"


# When several fit, the first of these counts.
ORDER = (Kind.ALLOW, Kind.BLOCK, Kind.CHALLENGE)


@dataclass(frozen=True, slots=True)
class Entry:
    """Listed is a network or an account; `until` in seconds since 1970, None for ever."""

    id: str
    kind: Kind
    network: str | None
    account_id: str | None
    until: float | None


class Lists:
    """All entries, made to be asked often: for a network length there is one look into a table."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._networks: dict[tuple[int, int], dict[int, list[Entry]]] = {}
        self._accounts: dict[str, list[Entry]] = {}
        for entry in entries:
            if entry.network is not None:
                self._add(ipaddress.ip_network(entry.network), entry)
            elif entry.account_id is not None:
                self._accounts.setdefault(entry.account_id, []).append(entry)

    def _add(self, network: ipaddress.IPv4Network | ipaddress.IPv6Network, entry: Entry) -> None:
        shift = BITS[network.version] - network.prefixlen
        table = self._networks.setdefault((network.version, shift), {})
        table.setdefault(int(network.network_address) >> shift, []).append(entry)

    def of_address(self, address: Address, now: float) -> Entry | None:
        """The entry that counts for this address at `now`, if any."""
        if not self._networks:
            return None
        found: list[Entry] = []
        for (version, shift), table in self._networks.items():
            if version == address.version:
                found += table.get(address.number >> shift, ())
        return _first(found, now)

    def of_account(self, account_id: str, now: float) -> Entry | None:
        """The entry that counts for this account at `now`, if any."""
        return _first(self._accounts.get(account_id, ()), now)


def _first(found: Iterable[Entry], now: float) -> Entry | None:
    valid = [entry for entry in found if entry.until is None or entry.until > now]
    return min(valid, key=lambda entry: ORDER.index(entry.kind), default=None)


def encode(entries: Iterable[Entry]) -> bytes:
    """As the service writes them to Redis, for every process to read."""
    return orjson.dumps([[entry.id, entry.kind, entry.network, entry.account_id, entry.until] for entry in entries])


def decode(raw: bytes) -> Lists:
    """What `encode` wrote."""
    rows: list[tuple[str, str, str | None, str | None, float | None]] = orjson.loads(raw)
    return Lists(Entry(row[0], Kind(row[1]), *row[2:]) for row in rows)
