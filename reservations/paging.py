"""Pages of what an account has: newest first, each page beginning behind a moment and an id."""

import base64
import binascii
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from pydantic import Field

from shared.errors import ValidationFailed
from shared.http import QueryModel
from shared.http.validation import violation

PAGE_LIMIT_DEFAULT = 50
PAGE_LIMIT_MAX = 200


class Place(NamedTuple):
    """Where a page ended: when its last item was made, and its id."""

    moment: datetime
    id: str

    def cursor(self) -> str:
        """The place as text that means nothing to the caller."""
        return base64.urlsafe_b64encode(f"{self.moment.isoformat()} {self.id}".encode()).decode().rstrip("=")


class PageQuery(QueryModel):
    """Which part of a list."""

    limit: int = Field(PAGE_LIMIT_DEFAULT, ge=1, le=PAGE_LIMIT_MAX)
    cursor: str | None = Field(None, max_length=200, description="`nextCursor` of the page before.")

    def place(self) -> Place | None:
        """Where the page begins. Raises `ValidationFailed` when the cursor is not one of ours."""
        if self.cursor is None:
            return None
        try:
            raw = base64.b64decode(self.cursor + "=" * (-len(self.cursor) % 4), altchars=b"-_", validate=True)
            moment, _, identity = raw.decode().partition(" ")
            place = Place(datetime.fromisoformat(moment), str(UUID(identity)))
            if place.cursor() != self.cursor:
                raise ValueError("not as we write it")
        except (binascii.Error, ValueError):
            wrong = violation("parameter", ["cursor"], "invalid", "must be a nextCursor")
            raise ValidationFailed("the request has wrong parameters", errors=[wrong]) from None
        return place
