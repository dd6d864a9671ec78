"""Who is let in: decisions, and the block and allow lists."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from flask import Response

from client import admin_api, plots
from client.calls import Json, Refused, new_key
from client.kernel.pages import Pages
from client.kernel.visits import Visit
from client.pages.admin.frame import ADMINS, draw, next_page, query_of, told

pages = Pages()

HOURS = 24
VERDICTS = ("allow", "challenge", "block")
KINDS = ("block", "challenge", "allow")
LASTS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1), "": None}


@pages.get("/admin/security", access=ADMINS)
def show(visit: Visit) -> Response:
    """Everything on one page."""
    return _draw(visit)


def _draw(visit: Visit, status: int = 200) -> Response:
    query = query_of("address", "verdict", "reason", "accountId")
    found = admin_api.decisions(visit.calls, query)
    hours, counts = by_hour(admin_api.statistics(visit.calls, HOURS)["items"], datetime.now(UTC))
    return draw(
        visit,
        "security.html",
        status,
        decisions=found["items"],
        query=query,
        further=next_page("/admin/security", query, found["nextCursor"]),
        entries=admin_api.entries(visit.calls, "")["items"],
        kinds=KINDS,
        verdicts=VERDICTS,
        hours=hours,
        counts=counts,
        labels=[visit.language.time(hour) for hour in hours],
        plot=plots.columns([counts["challenge"], counts["block"]]),
        key=visit.form["key"] or new_key(),
    )


def by_hour(items: list[Json], now: datetime) -> tuple[list[datetime], dict[str, list[int]]]:
    """The last hours, and how often each verdict was given in them."""
    last = now.replace(minute=0, second=0, microsecond=0)
    hours = [last - timedelta(hours=back) for back in range(HOURS - 1, -1, -1)]
    counts = {verdict: [0] * HOURS for verdict in VERDICTS}
    for item in items:
        hour = datetime.fromisoformat(item["hour"])
        if hour in hours and item["verdict"] in counts:
            counts[item["verdict"]][hours.index(hour)] += int(item["count"])
    return hours, counts


@pages.post("/admin/security/lists", access=ADMINS)
def add(visit: Visit) -> Response:
    """Lists a network or an account."""
    form = visit.form
    try:
        if not form.require("target", "reason"):
            return _draw(visit, 422)
        admin_api.add_entry(visit.calls, entry_of(form.values, datetime.now(UTC)), form["key"] or new_key())
    except Refused as refused:
        if not told(visit, refused):
            raise
        return _draw(visit, refused.status)
    return visit.redirect("/admin/security", notice="entry_added")


def entry_of(fields: dict[str, str], now: datetime) -> Json:
    """What a form says: an account by its id, a network otherwise."""
    target = fields.get("target", "").strip()
    lasts = LASTS.get(fields.get("lasts", ""))
    entry: Json = {"kind": fields.get("kind", "block"), "reason": fields.get("reason", "").strip()}
    entry |= {"accountId": target} if _is_account(target) else {"network": target}
    return entry | ({} if lasts is None else {"expiresAt": (now + lasts).isoformat()})


def _is_account(target: str) -> bool:
    try:
        UUID(target)
    except ValueError:
        return False
    return True


@pages.post("/admin/security/lists/<uuid:entry_id>/remove", access=ADMINS)
def remove(visit: Visit, entry_id: UUID) -> Response:
    """Takes an entry off."""
    admin_api.remove_entry(visit.calls, str(entry_id))
    return visit.redirect("/admin/security", notice="entry_removed")
