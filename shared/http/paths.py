"""The one spelling of a path that is taken.

A proxy that keeps `/internal` from the world compares letters. What it reads as another path must not lead to the same
route here, so a path is taken in its normal form (RFC 3986, 6.2.2) or not at all.
"""

import re
from collections.abc import Mapping
from typing import Any

# No empty segment, no dot segment, nothing percent-encoded, no parameters behind ";". No route of ours needs more.
_NORMAL = re.compile(r"/|(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~!$&'()*+,=:@-]+)+")
# Where servers leave the request's target as it came. Granian does not: what was encoded looks as if it were not.
_AS_IT_CAME = ("RAW_URI", "REQUEST_URI")
_WRITTEN_BY_PROXIES = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED")


def is_normal(environ: Mapping[str, Any]) -> bool:
    """Whether the path of a request is written in the one way that is taken."""
    if _NORMAL.fullmatch(environ.get("PATH_INFO", "")) is None:
        return False
    return not any("%" in environ.get(name, "").partition("?")[0] for name in _AS_IT_CAME)


def came_by_proxy(environ: Mapping[str, Any]) -> bool:
    """Whether a proxy says that it handed the request on; our own services ask each other directly."""
    return any(name in environ for name in _WRITTEN_BY_PROXIES)
