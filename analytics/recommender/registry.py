"""Models in a folder: written whole, verified when they are loaded, and one of them the current one.

    current                    {"version", "sha256" of its model.json}; put in place by one rename
    versions/<version>/        model.json (names, schema version, checksum of the arrays), arrays.npz, report.json

Nothing in a file is ever executed: arrays without pickled objects, and JSON.
"""

import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analytics.recommender.catalogue import Ints
from analytics.recommender.model import ARRAYS, HINTS, Model, plain

SCHEMA_VERSION = 1
ARRAY_BYTES_MAX = 256 * 1024 * 1024
VERSION = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")
TUPLES = ("countries", "regions", "languages")


class BadModel(Exception):
    """A model's files are not what was written, or of another schema version."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A model with its version, the match numbers of its rows, and whether synthetic rows took part."""

    version: str
    model: Model
    numbers: Ints
    synthetic: bool


class Registry:
    """The models below one folder. One process writes at a time, any number read."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def current(self) -> str | None:
        """The version that is served; None when there is none yet."""
        return None if (found := self._current()) is None else str(found["version"])

    def load_current(self) -> Stored | None:
        """The current model. Raises `BadModel`."""
        found = self._current()
        return None if found is None else self._load(str(found["version"]), str(found["sha256"]))

    def report(self, version: str) -> dict[str, Any]:
        """What was measured of a version."""
        return dict(json.loads((self._place(version) / "report.json").read_text("utf-8")))

    def versions(self) -> list[str]:
        """All that are kept, the oldest first."""
        place = self.folder / "versions"
        return sorted(path.name for path in place.iterdir() if VERSION.fullmatch(path.name)) if place.is_dir() else []

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether nobody else trains into this folder; ends with the process, however it ends."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def save(self, stored: Stored, report: Mapping[str, Any]) -> None:
        """Writes a version; it is there whole or not at all."""
        place = self._place(stored.version)
        place.parent.mkdir(parents=True, exist_ok=True)
        arrays = _arrays(stored)
        document = {
            "schemaVersion": SCHEMA_VERSION,
            "hints": list(HINTS),
            "synthetic": stored.synthetic,
            "arrays": hashlib.sha256(arrays).hexdigest(),
            **plain(stored.model),
        }
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".new-") as directory:
            new = Path(directory) / "model"
            new.mkdir()
            _write(new / "arrays.npz", arrays)
            _write(new / "model.json", _json(document))
            _write(new / "report.json", _json(report))
            new.rename(place)

    def promote(self, version: str) -> None:
        """Makes a version the current one, in one step for every reader."""
        digest = hashlib.sha256((self._place(version) / "model.json").read_bytes()).hexdigest()
        new = self.folder / f".current-{os.getpid()}"
        _write(new, _json({"version": version, "sha256": digest}))
        new.replace(self.folder / "current")

    def prune(self, most: int) -> None:
        """Deletes the oldest versions beyond `most`, never the current one."""
        try:
            current = self.current()
        except BadModel:
            current = None  # nothing is served that could be kept
        others = [version for version in self.versions() if version != current]
        for version in others[: max(0, len(others) - (most - 1))]:
            shutil.rmtree(self._place(version), ignore_errors=True)

    def _current(self) -> dict[str, Any] | None:
        try:
            found = json.loads((self.folder / "current").read_text("utf-8"))
            return {"version": str(found["version"]), "sha256": str(found["sha256"])}
        except FileNotFoundError:
            return None
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise BadModel(f"the folder's `current` cannot be read: {error}") from error

    def _place(self, version: str) -> Path:
        if not VERSION.fullmatch(version):
            raise BadModel(f"{version!r} is no version")
        return self.folder / "versions" / version

    def _load(self, version: str, digest: str) -> Stored:
        place = self._place(version)
        try:
            written = (place / "model.json").read_bytes()
            if hashlib.sha256(written).hexdigest() != digest:
                raise BadModel(f"model.json of {version} is not what was promoted")
            document = json.loads(written)
            if document["schemaVersion"] != SCHEMA_VERSION or document["hints"] != list(HINTS):
                raise BadModel(f"{version} is of another schema version")
            arrays = _read_arrays(place / "arrays.npz", document["arrays"])
            names = {name: document[name] for name in plain_names(document)}
            names |= {name: tuple(document[name]) for name in TUPLES}
            model = Model(**names, **{name: arrays[name] for name in ARRAYS})
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise BadModel(f"{version} cannot be read: {error}") from error
        _check_shapes(model, len(arrays["numbers"]))
        return Stored(version, model, arrays["numbers"], bool(document["synthetic"]))


def plain_names(document: Mapping[str, Any]) -> list[str]:
    """The model's members among those of a document."""
    return [name for name in document if name not in ("schemaVersion", "hints", "synthetic", "arrays")]


def _check_shapes(model: Model, size: int) -> None:
    right = (
        model.popular.shape == (size,)
        and model.by_country.shape == (len(model.countries), size)
        and model.by_region.shape == (len(model.regions), size)
        and model.by_language.shape == (len(model.languages), size)
        and model.factors.ndim == 2
        and len(model.factors) == size
        and model.regular.shape == model.stranger.shape == (len(HINTS),)
    )
    if not right or not all(np.isfinite(getattr(model, name)).all() for name in ARRAYS):
        raise BadModel("the arrays do not fit each other")


def _arrays(stored: Stored) -> bytes:
    out = io.BytesIO()
    arrays = {name: getattr(stored.model, name) for name in ARRAYS}
    np.savez_compressed(out, numbers=stored.numbers, **arrays)
    return out.getvalue()


def _read_arrays(path: Path, digest: str) -> dict[str, Any]:
    if path.stat().st_size > ARRAY_BYTES_MAX:
        raise BadModel(f"{path.name} is too large")
    written = path.read_bytes()
    if hashlib.sha256(written).hexdigest() != digest:
        raise BadModel(f"{path.name} is not what was written")
    with np.load(io.BytesIO(written), allow_pickle=False) as archive:
        return {name: archive[name] for name in (*ARRAYS, "numbers")}


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True).encode()


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
