"""Python lists as PostgreSQL arrays, for the driver: a batch is a dozen arrays, and each element is met once.

The driver's own way of writing a list looks each element's type up and asks its dumper; for lists of whole numbers and
of plain text that is most of what a batch costs. What the array is of, the statement says (`%(name)s::int[]`).
"""

from datetime import datetime
from typing import Any

from psycopg.adapt import Dumper

NUMBERS = {int}
TEXTS = {str}


class ArrayDumper(Dumper):
    """Writes a list of numbers, texts, bytes, moments or None in the text form of an array."""

    oid = 0  # unknown to the server: the statement's cast tells

    def dump(self, obj: list[Any]) -> bytes:
        kinds = set(map(type, obj))
        if kinds == NUMBERS:
            return ("{{{}}}".format(",".join(map(str, obj)))).encode()
        if kinds == TEXTS:
            text = '","'.join(obj)
            # Nothing to escape: no backslash, and no quotes but those between the elements.
            if "\\" not in text and text.count('"') == 2 * (len(obj) - 1):
                return (f'{{"{text}"}}').encode()
        return ("{{{}}}".format(",".join(map(_element, obj)))).encode()


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f'"\\\\x{value.hex()}"'
    if isinstance(value, datetime):
        return f'"{value.isoformat()}"'
    if isinstance(value, str):
        return '"{}"'.format(value.replace("\\", "\\\\").replace('"', '\\"'))
    return str(value)
