"""Our own static files: read once, named by their content, so that browsers keep them for good."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

STATIC = Path(__file__).parents[1] / "static"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    """One file as it is served."""

    content: bytes
    media_type: str


class Assets:
    """All of them. A file may have no reference to another, for that one's name changes with its content."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._files: dict[str, Asset] = {}
        self._paths: dict[str, str] = {}
        for path in sorted(folder.iterdir()):
            if path.suffix in TYPES:
                content = path.read_bytes()
                mark = hashlib.blake2b(content, digest_size=6).hexdigest()
                name = f"{path.stem}.{mark}{path.suffix}"
                self._files[name] = Asset(content, TYPES[path.suffix])
                self._paths[path.name] = f"/static/{name}"

    def path(self, name: str) -> str:
        """Where a page finds a file. Raises `KeyError` for one that is not there."""
        return self._paths[name]

    def find(self, name: str) -> Asset | None:
        """The file of a name that a page was given."""
        return self._files.get(name)
