"""The HTTP models of erasure."""

from uuid import UUID

from shared.http import BodyModel


class AccountDeleted(BodyModel):
    """An account that exists no more."""

    account_id: UUID
