"""HTTP: figures, for partners what the log shows to all of them anyway, for admins also what is this site's own."""

from analytics.figures import handlers
from analytics.figures.schemas import (
    Bookings,
    BookingsAnswer,
    BookingsQuery,
    CountriesAnswer,
    Country,
    Drift,
    DriftAnswer,
    DriftQuery,
    ForecastAnswer,
    ForecastQuery,
    OversoldPool,
    PoolForecast,
    Revenue,
    RevenueAnswer,
    RevenueQuery,
    SpanQuery,
    about,
)
from analytics.lake.lake import LakeUnavailable
from analytics.wiring import Wiring
from shared.errors import DependencyUnavailable
from shared.http import Routes, roles

statistics = Routes("statistics", "Figures of what was sold, by whom, and what becomes of it.")
PARTNERS = roles("partner", "admin", services=True)
ADMINS = roles("admin", services=True)
TROUBLE = [LakeUnavailable, DependencyUnavailable]


@statistics.get("/api/statistics/bookings", answer=BookingsAnswer, access=PARTNERS, raises=TROUBLE)
def count_bookings(wiring: Wiring, query: BookingsQuery) -> BookingsAnswer:
    """Holds, sales and what was given back, of all sites."""
    found, basis = handlers.bookings(wiring.figures, query.group_by, query.span(), query.limit)
    items = [Bookings.of(each) for each in found[: query.limit]]
    return BookingsAnswer.model_validate(
        {"group_by": query.group_by, "items": items, "more": len(found) > query.limit, **about(basis)}
    )


@statistics.get("/api/statistics/revenue", answer=RevenueAnswer, access=ADMINS, raises=TROUBLE)
def count_revenue(wiring: Wiring, query: RevenueQuery) -> RevenueAnswer:
    """Money paid here and given back, and an estimate of what partners took."""
    found, basis = handlers.revenue(wiring.figures, query.group_by, query.span(), query.limit)
    items = [Revenue.of(each) for each in found[: query.limit]]
    return RevenueAnswer.model_validate(
        {"group_by": query.group_by, "items": items, "more": len(found) > query.limit, **about(basis)}
    )


@statistics.get("/api/statistics/countries", answer=CountriesAnswer, access=ADMINS, raises=TROUBLE)
def count_countries(wiring: Wiring, query: SpanQuery) -> CountriesAnswer:
    """What visitors of this site did, by country."""
    found, basis = handlers.countries(wiring.figures, query.span(), query.limit)
    items = [Country.of(each) for each in found[: query.limit]]
    return CountriesAnswer.model_validate({"items": items, "more": len(found) > query.limit, **about(basis)})


@statistics.get("/api/statistics/forecasts", answer=ForecastAnswer, access=PARTNERS, raises=TROUBLE)
def show_forecasts(wiring: Wiring, query: ForecastQuery) -> ForecastAnswer:
    """When pools sell out, with how sure that is."""
    now = wiring.clock.now().replace(second=0, microsecond=0)
    found, basis = handlers.forecasts(wiring.figures, query.match_number, now)
    items = [PoolForecast.of(pool, forecast, now) for pool, forecast in found]
    return ForecastAnswer.model_validate({"made_at": now, "items": items, **about(basis)})


@statistics.get("/api/statistics/drift", answer=DriftAnswer, access=PARTNERS, raises=TROUBLE)
def show_drift(wiring: Wiring, query: DriftQuery) -> DriftAnswer:
    """Who sold more than there is, and what else the log shows that should not be, with the records that show it."""
    found, pools, basis = handlers.drifts(wiring.figures, query.limit, query.evidence)
    more = len(found) > query.limit or len(pools) > query.limit
    return DriftAnswer.model_validate(
        {
            "items": [Drift.of(each) for each in found[: query.limit]],
            "oversold": [OversoldPool.of(each) for each in pools[: query.limit]],
            "more": more,
            **about(basis),
        }
    )
