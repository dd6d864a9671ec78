"""Records that Kafka takes and the client library does not: header names that are not UTF-8.

One such record would stop every consumer that meets it, for good. When the library gives up on one, this process
goes on with the library's own readers in Python, made to replace what they cannot decode, and reads the same place
again.
"""

from typing import Any, SupportsIndex

import structlog
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy

log = structlog.get_logger(__name__)

UNREADABLE = (UnicodeDecodeError, CorruptRecordException)


class _Bytes(bytearray):
    """Bytes whose text is made readable rather than refused; so are their slices."""

    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        found = super().__getitem__(key)
        return _Bytes(found) if isinstance(key, slice) else found

    def decode(self, encoding: str = "utf-8", _errors: str = "strict") -> str:
        return super().decode(encoding, "replace")


class _Batch(_DefaultRecordBatchPy):  # type: ignore[misc]
    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer: bytearray = _Bytes(self._buffer)


class _Records(_MemoryRecordsPy):  # type: ignore[misc]
    def next_batch(self, *limits: int) -> Any:
        following = self._next_slice
        batch = super().next_batch(*limits)
        return _Batch(following) if batch is not None and following[self.MAGIC_OFFSET] >= 2 else batch


def be_lenient() -> bool:
    """Reads leniently from now on; False when that is done already, so that the record is really broken."""
    if fetcher.MemoryRecords is _Records:
        return False
    log.warning("reading_leniently", why="a record that the client library cannot read; reading is slower from here")
    fetcher.MemoryRecords = _Records
    return True
