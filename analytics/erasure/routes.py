"""HTTP: what `users` tells."""

from analytics.erasure import handlers
from analytics.erasure.schemas import AccountDeleted
from analytics.wiring import Wiring
from shared.errors import DependencyUnavailable
from shared.http import IdempotencyHeaders, Routes

internal = Routes("erasure", "What other services tell.")


@internal.post("/internal/accounts/deleted", status=204, raises=[DependencyUnavailable])
def delete_account(wiring: Wiring, body: AccountDeleted, headers: IdempotencyHeaders) -> None:  # noqa: ARG001
    """An account was deleted: its events leave the lake, and a lake that is written anew does not get them."""
    handlers.forget(wiring.database, wiring.secret, body.account_id)
