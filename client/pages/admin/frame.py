"""What all admins' pages share: their own navigation, further pages of a list, and the password for money and roles."""

import time
from collections.abc import Callable, Mapping
from functools import wraps
from urllib.parse import quote, urlencode

from flask import Response, request

from client.calls import Refused
from client.kernel.problems import Trouble
from client.kernel.visits import Visit
from client.kernel.words import N_, _
from shared.http.callers import roles

ADMINS = roles("admin")
# So that nobody is asked for the password right after a form was filled in.
MARGIN_SECONDS = 20
AREAS = (
    ("/admin", N_("Overview")),
    ("/admin/figures", N_("Figures")),
    ("/admin/refused", N_("Refused records")),
    ("/admin/evidence", N_("Evidence")),
    ("/admin/security", N_("Security")),
    ("/admin/payments", N_("Payments")),
    ("/admin/ledger", N_("Ledger")),
    ("/admin/resale", N_("Resale")),
    ("/admin/payouts", N_("Payouts")),
    ("/admin/people", N_("People")),
    ("/admin/waiting-rooms", N_("Waiting rooms")),
    ("/admin/actions", N_("Audit log")),
)
Handler = Callable[..., Response]


def draw(visit: Visit, template: str, status: int = 200, **values: object) -> Response:
    """A page of the admins'."""
    places = [(path, _(words), _is_here(path)) for path, words in AREAS]
    return visit.render(f"admin/{template}", status, areas=places, fresh=is_fresh(visit), **values)


def _is_here(path: str) -> bool:
    return request.path == path or (path != "/admin" and request.path.startswith(path + "/"))


def is_fresh(visit: Visit) -> bool:
    """Whether the password was given so lately that money and roles may be changed."""
    account = visit.account
    lasts = visit.settings.reauthentication_seconds - MARGIN_SECONDS
    return account is not None and time.time() - account.authenticated_at < lasts


def ask_password(visit: Visit, back: str) -> Response:
    """To the page that asks for the password; it leads back."""
    return visit.redirect(f"/admin/password?next={quote(back)}", notice="password_first")


def with_password(back: str) -> Callable[[Handler], Handler]:
    """For what moves money or gives rights: whose password is too old is asked for it.

    `back` is where the visitor came from, with the path's parts in braces.
    """

    def wrap(handler: Handler) -> Handler:
        @wraps(handler)
        def guarded(visit: Visit, **path: object) -> Response:
            try:
                return handler(visit, **path)
            except Refused as refused:
                if refused.code != "reauthentication_required":
                    raise
                return ask_password(visit, back.format(**path))

        return guarded

    return wrap


def query_of(*names: str) -> dict[str, str]:
    """What was asked for, of these names."""
    return {name: request.args.get(name, "").strip()[:300] for name in (*names, "cursor")}


def next_page(path: str, query: Mapping[str, str], cursor: object) -> str | None:
    """Where the list goes on."""
    if cursor is None:
        return None
    return f"{path}?{urlencode({**{name: value for name, value in query.items() if value}, 'cursor': str(cursor)})}"


def told(visit: Visit, refused: Refused) -> bool:
    """Whether a form can be shown again with what was wrong; it then says so."""
    if refused.status not in (409, 422) and refused.code != "forbidden":
        return False
    detail = str(refused.problem.get("detail") or "")
    visit.form.refuse(refused, f"{_(Trouble.of(refused).title)}: {detail}" if detail else _(Trouble.of(refused).title))
    return True
