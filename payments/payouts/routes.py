"""HTTP of credits and payouts: parse, one use case, answer."""

from uuid import UUID

from payments.payouts import domain, handlers
from payments.payouts.schemas import NewCredit, PaidOut, Payout, PayoutQuery, Payouts, SellersPayout, SellersPayouts
from payments.wiring import Wiring
from shared.errors import Conflict, DependencyUnavailable, NotFound
from shared.http import SIGNED_IN, Caller, IdempotencyHeaders, Routes, roles

payouts = Routes("payouts", "What sellers of tickets get.")
admin_payouts = Routes("payouts of all", "For operators.")
credits = Routes("credits", "For this site's own services.")


def _page(wiring: Wiring, query: PayoutQuery, account_id: str | None = None) -> tuple[list[domain.Payout], UUID | None]:
    after = None if query.cursor is None else str(query.cursor)
    found = handlers.listed(wiring.site, account_id, query.due(), after, query.limit + 1)
    page = found[: query.limit]
    return page, UUID(page[-1].id) if len(found) > query.limit else None


@payouts.get("/api/payouts", answer=Payouts, access=SIGNED_IN, raises=[DependencyUnavailable])
def list_own_payouts(wiring: Wiring, caller: Caller, query: PayoutQuery) -> Payouts:
    """What the account has earned by selling tickets, newest first: due, or paid out."""
    assert caller.account is not None, "the door lets nobody else in"
    page, cursor = _page(wiring, query, caller.account.id)
    return Payouts(items=[Payout.of(each) for each in page], next_cursor=cursor)


@admin_payouts.get(
    "/api/payments/payouts", answer=SellersPayouts, access=roles("admin"), raises=[DependencyUnavailable]
)
def list_payouts(wiring: Wiring, query: PayoutQuery) -> SellersPayouts:
    """What all sellers have earned, newest first."""
    page, cursor = _page(wiring, query)
    return SellersPayouts(items=[SellersPayout.seen(each) for each in page], next_cursor=cursor)


@admin_payouts.post(
    "/api/payments/payouts/{payoutId}/paid",
    answer=SellersPayout,
    access=roles("admin"),
    fresh=True,
    raises=[NotFound, DependencyUnavailable],
)
def pay_out(wiring: Wiring, caller: Caller, payout_id: UUID, body: PaidOut) -> SellersPayout:
    """Say that a payout was paid, by the site's bank. The books show it; again has no further effect."""
    assert caller.account is not None, "the door lets nobody else in"
    return SellersPayout.seen(handlers.pay_out(wiring.site, str(payout_id), caller.account.id, body.note))


@credits.post(
    "/internal/payments/credits",
    answer=SellersPayout,
    raises=[NotFound, Conflict, DependencyUnavailable],
)
def credit_seller(wiring: Wiring, body: NewCredit, headers: IdempotencyHeaders) -> SellersPayout:
    """Reservations tells that a ticket was sold again: its seller is credited with the price, less the fee, once."""
    credited = handlers.credit(wiring.site, wiring.resale_fee_percent, body.credit(), headers.idempotency_key)
    return SellersPayout.seen(credited)
