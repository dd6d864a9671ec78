"""How the site is doing: sales, pools, lag, and what waits for an admin."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Response, request

from client import admin_api, plots
from client.calls import Calls, Json, Refused
from client.kernel.languages import Language
from client.kernel.pages import Pages
from client.kernel.visits import Visit
from client.pages.admin.frame import ADMINS, draw

pages = Pages()
Question = Callable[[Calls], Json]

# How wide a bucket is, and how many are shown.
VIEWS = {"minute": (timedelta(minutes=1), 60), "hour": (timedelta(hours=1), 48), "day": (timedelta(days=1), 31)}


@dataclass(frozen=True)
class SalesPlot:
    """The picture of sales over time, and the numbers in it."""

    columns: plots.Columns
    starts: list[datetime]
    labels: list[str]
    own: list[int]
    partners: list[int]


@dataclass(frozen=True)
class PoolsPlot:
    """The heat map of all pools: a column a match, a row a category."""

    map: plots.HeatMap
    matches: list[Json]
    categories: list[int]
    sold: list[list[float]]  # shares, by category and match


@pages.get("/admin", access=ADMINS)
def show(visit: Visit) -> Response:
    """The overview. What a service cannot tell at present is left out, and said to be."""
    bucket = request.args.get("bucket", "hour")
    bucket = bucket if bucket in VIEWS else "hour"
    missing: list[str] = []

    def ask(name: str, question: Json | None) -> Json | None:
        if question is None:
            missing.append(name)
        return question

    sales = ask("sales", _or_nothing(lambda calls: admin_api.sales(calls, bucket, VIEWS[bucket][1]), visit.calls))
    pools = ask("pools", _or_nothing(admin_api.pools, visit.calls))
    return draw(
        visit,
        "overview.html",
        bucket=bucket,
        buckets=list(VIEWS),
        sales=sales,
        plot=None if sales is None else sales_plot(sales, bucket, visit.language),
        pools=None if pools is None else pools_plot(pools["items"]),
        lag=ask("lag", _or_nothing(admin_api.lag, visit.calls)),
        refused=ask("refused", _or_nothing(lambda calls: admin_api.refused(calls, "", "", "false"), visit.calls)),
        missing=missing,
    )


def _or_nothing(question: Question, calls: Calls) -> Json | None:
    try:
        return question(calls)
    except Refused as refused:
        if refused.status < 500:
            raise
        return None


def sales_plot(sales: Json, bucket: str, language: Language) -> SalesPlot:
    """The buckets with those that nothing was sold in, which the service leaves out."""
    width = VIEWS[bucket][0]
    since, until = datetime.fromisoformat(sales["since"]), datetime.fromisoformat(sales["until"])
    found = {datetime.fromisoformat(item["start"]): item for item in sales["items"]}
    starts = [since + width * number for number in range((until - since) // width)]
    own = [int(found[start]["own"]) if start in found else 0 for start in starts]
    partners = [int(found[start]["partners"]) if start in found else 0 for start in starts]
    labels = [language.short_day(start) if bucket == "day" else language.time(start) for start in starts]
    return SalesPlot(plots.columns([own, partners]), starts, labels, own, partners)


def pools_plot(matches: list[Json]) -> PoolsPlot:
    """What share of each pool is sold."""
    ordered = sorted(matches, key=lambda match: match["matchNumber"])
    categories = sorted({pool["category"] for match in ordered for pool in match["categories"]})
    shares = [[_share(match, category) for match in ordered] for category in categories]
    return PoolsPlot(plots.heat_map(shares), ordered, categories, shares)


def _share(match: Json, category: int) -> float:
    for pool in match["categories"]:
        if pool["category"] == category and pool["capacity"] > 0:
            return float(1 - pool["reserved"] / pool["capacity"])
    return 0.0
