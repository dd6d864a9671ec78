"""Use cases of accounts, as users tells of them: whose reservations become whose. Told again, nothing changes."""

from reservations import store
from reservations.handlers import Site
from reservations.resale import handlers as resale
from reservations.tables import mails, site_events
from shared import event_outbox, mail

NOBODY = "deleted@account.invalid"  # RFC 2606: an address that nobody can have


def verified(site: Site, account_id: str, email: str) -> int:
    """An account has proved that an address is its own: what was reserved with it as a guest joins the account."""
    with site.database.transaction() as connection:
        return store.join_account(connection, account_id, email)


def deleted(site: Site, account_id: str, email: str | None) -> None:
    """An account is gone: its sales stay, what it sells again is withdrawn, and nothing tells any more whose they were.

    Mails are deleted only of the address that it had verified: an account may reserve with anybody's.
    """
    with site.database.transaction() as connection:
        resale.forget_seller(connection, account_id, site.clock.now())
        store.forget_account(connection, account_id, NOBODY)
        event_outbox.forget_account(connection, site_events, account_id)
        if email is not None:
            mail.forget(connection, mails, email.casefold())
