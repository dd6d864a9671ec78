"""Figures: what the data lake says of sales, conversion, countries, the time to come, and drift between sites."""

from collections.abc import Callable
from dataclasses import dataclass

from flask import Response

from client import admin_api, plots
from client.calls import Calls, Json, Refused
from client.kernel.pages import Pages
from client.kernel.visits import Visit
from client.kernel.words import N_
from client.pages.admin.frame import ADMINS, draw

pages = Pages()

SHOWN_MAX = 20
HOURS = range(24)
KINDS = {
    "oversold": N_("Sold more than there is"),
    "orphan_reserved": N_("Sold without a hold"),
    "orphan_cancelled": N_("Gave back what was not held"),
    "reserved_after_release": N_("Sold after giving back"),
    "cancelled_after_reserved": N_("Gave back what was sold"),
    "held_too_long": N_("Held for too long"),
    "never_finished": N_("A hold that nobody ended"),
    "quantity_mismatch": N_("Another number than was held"),
    "duplicate": N_("Sent twice"),
    "price_mismatch": N_("Another price"),
    "own_client_id": N_("Bears our name and is not ours"),
}


@dataclass(frozen=True)
class SoldPlot:
    """The heat map of pools: a column a match, a row a category; shares of the capacity."""

    map: plots.HeatMap
    matches: list[int]
    categories: list[int]
    sold: list[list[float]]


@dataclass(frozen=True)
class HoursPlot:
    """Tickets sold by the hour of the day."""

    columns: plots.Columns
    sold: list[int]
    labels: list[str]


@pages.get("/admin/figures", access=ADMINS)
def show(visit: Visit) -> Response:
    """All figures; without analytics the page says so, and shows what it was told before that."""
    found = answers(visit.calls)
    pools, hours, forecasts = (found.get(name) for name in ("pool", "hourOfDay", "forecasts"))
    return draw(
        visit,
        "figures.html",
        total=_first(found.get("total")),
        sold=None if pools is None else sold_plot(pools["items"]),
        hours=None if hours is None else hours_plot(hours["items"]),
        sites=found.get("site"),
        countries=found.get("countries"),
        revenue=found.get("revenue"),
        soonest=None if forecasts is None else soonest(forecasts["items"]),
        drift=found.get("drift"),
        kinds=KINDS,
        synthetic=any(answer["synthetic"] for answer in found.values()),
        as_of=next((answer["asOf"] for answer in found.values()), None),
        missing=len(found) < len(QUESTIONS),
    )


def _bookings(group: str) -> Callable[[Calls], Json]:
    return lambda calls: admin_api.bookings(calls, group)


QUESTIONS: dict[str, Callable[[Calls], Json]] = {
    **{group: _bookings(group) for group in ("total", "pool", "hourOfDay", "site")},
    "revenue": admin_api.revenue,
    "countries": admin_api.countries,
    "forecasts": admin_api.forecasts,
    "drift": admin_api.drift,
}


def answers(calls: Calls) -> dict[str, Json]:
    """What analytics answers. After a question that it cannot answer no other is put: each might wait as long."""
    found: dict[str, Json] = {}
    for name, question in QUESTIONS.items():
        try:
            found[name] = question(calls)
        except Refused as refused:
            if refused.status < 500:
                raise
            break
    return found


def _first(answer: Json | None) -> Json | None:
    return answer["items"][0] if answer and answer["items"] else None


def sold_plot(items: list[Json]) -> SoldPlot:
    """What share of each pool is sold, by the keys `match-category`."""
    shares = {tuple(int(part) for part in item["key"].split("-")): item["sellThrough"] or 0.0 for item in items}
    matches = sorted({pool[0] for pool in shares})
    categories = sorted({pool[1] for pool in shares})
    rows = [[shares.get((match, category), 0.0) for match in matches] for category in categories]
    return SoldPlot(plots.heat_map(rows), matches, categories, rows)


def hours_plot(items: list[Json]) -> HoursPlot:
    """All hours of the day, with those that nothing was sold in."""
    by_hour = {int(item["key"]): int(item["sold"]) for item in items}
    sold = [by_hour.get(hour, 0) for hour in HOURS]
    return HoursPlot(plots.columns([sold], named=12), sold, [f"{hour:02}" for hour in HOURS])


def soonest(items: list[Json]) -> list[Json]:
    """The pools that a forecast is made of, the soonest first; those that are likely not to sell out come last."""
    told = [item for item in items if item["outlook"] == "forecast"]
    return sorted(told, key=lambda item: (item["likely"] is None, item["likely"] or "", item["matchNumber"]))[
        :SHOWN_MAX
    ]
