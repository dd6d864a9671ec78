"""Ports for a whole site of a test, beside the sites and servers of the tests around it."""

from matchday.ports import free_offset
from matchday.processes import PROCESSES


def free_port_offset(*further: int) -> int:
    """A PORT_OFFSET with which a site's services find all their ports free, and so do sites `further` above it."""
    ports = [spec.port for spec in PROCESSES if spec.port]
    return free_offset(port + above for port in ports for above in (0, *further))
