"""Whose requests are counted together: an IPv4 address, an IPv6 network of 64 bits."""

import functools
import ipaddress
from dataclasses import dataclass

UNKNOWN = "unknown"
IPV6_PREFIX = 64


@dataclass(frozen=True, slots=True)
class Address:
    """An address as the lists see it (`version`, `number`), and the name it is counted under."""

    key: str
    version: int = 0
    number: int = 0


@functools.lru_cache(maxsize=16_384)
def address_of(text: str) -> Address:
    """The address; an IPv4 one that is written as IPv6 is the IPv4 one. What is no address is `UNKNOWN`, as one."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return Address(UNKNOWN)
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address_of(str(address.ipv4_mapped))
        # Whoever has one address of such a network has them all.
        network = ipaddress.ip_network((int(address), IPV6_PREFIX), strict=False)
        return Address(str(network), 6, int(address))
    return Address(str(address), 4, int(address))
