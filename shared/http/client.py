"""Where a request comes from, when proxies stand in between."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from shared.settings import split_list


class ClientAddress:
    """Finds the client's address; `X-Forwarded-For` is believed only as far as trusted proxies wrote it."""

    def __init__(self, trusted_proxies: str) -> None:
        self._trusted = [ipaddress.ip_network(network) for network in split_list(trusted_proxies)]

    def of(self, environ: Mapping[str, Any]) -> str:
        """The address of whoever is nearest to us and not a trusted proxy."""
        address: str = environ.get("REMOTE_ADDR", "")
        if not self._trusted:
            return address
        # Each proxy appends whom it heard, so the list is read from our end until somebody is not ours.
        hops = split_list(environ.get("HTTP_X_FORWARDED_FOR", ""))
        while self._trusts(address) and hops:
            hop = hops.pop()
            if not _is_address(hop):
                break
            address = hop
        return address

    def is_proxied(self, environ: Mapping[str, Any]) -> bool:
        """Whether a trusted proxy has sent the request, so that its headers are believed."""
        return self._trusts(environ.get("REMOTE_ADDR", ""))

    def _trusts(self, address: str) -> bool:
        return _is_address(address) and any(ipaddress.ip_address(address) in network for network in self._trusted)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
