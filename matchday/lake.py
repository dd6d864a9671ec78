"""Writes a site's lake anew, by analytics' own program in the site's environment."""

import os
import subprocess
import sys
from pathlib import Path

from matchday.errors import RunnerError
from matchday.paths import CHECKOUT
from matchday.site import Site, read_document


def rebuild_at(site: Site, address: str) -> int:
    """Runs `python -m analytics.rebuild`; returns its exit code. The site's servers must be up."""
    document = read_document(site)
    if document is None:
        raise RunnerError(f"site {site.name} is not up: `make up` starts it")
    place = address if "://" in address else str(Path(address).absolute())
    # Addresses in site.json have no passwords: what the operator has given is the whole one.
    servers = {name: url for name, url in document["addresses"].items() if not os.environ.get(name)}
    command = [sys.executable, "-m", "analytics.rebuild", place]
    return subprocess.run(command, cwd=CHECKOUT, env=site.environment(servers), check=False).returncode
