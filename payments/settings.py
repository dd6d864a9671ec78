"""Settings of the service and its worker."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from security.engine.settings import GateSettings
from shared.settings import (
    AuditSettings,
    CommonSettings,
    DatabaseSettings,
    IdentitySettings,
    ServiceUrl,
    Settings,
    SiteEventsSettings,
)


def _stripe_key(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith(("sk_test_", "sk_live_", "rk_test_", "rk_live_")):
        raise ValueError("a secret or restricted key of Stripe, sk_… or rk_…")
    return value


def _signing_secret(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith("whsec_"):
        raise ValueError("the signing secret of a webhook endpoint, whsec_…")
    return value


class StripeSettings(Settings):
    """Stripe, or what stands in for it."""

    stripe_api_base: ServiceUrl = Field("https://api.stripe.com", description="Address of Stripe's API.")
    stripe_secret_key: Annotated[SecretStr, AfterValidator(_stripe_key)] = Field(
        description="Secret key; a restricted one needs PaymentIntents and Refunds (write), Charges (read)."
    )
    stripe_seconds_max: float = Field(10, gt=0, le=80, description="Longest wait for an answer of Stripe.")
    stripe_card_seconds_max: float = Field(
        30,
        gt=0,
        le=30,
        description="Longest that charging a card in one call waits for Stripe, all its answers together.",
    )
    stripe_retries: int = Field(1, ge=0, le=5, description="Times that a request is repeated at once.")


class SiteSettings(CommonSettings, DatabaseSettings, StripeSettings):
    """What the service and its worker share."""

    service_token: SecretStr = Field(
        min_length=16, description="Bearer token of the routes below /internal; 16 characters or more."
    )
    reservations_url: ServiceUrl = Field("http://127.0.0.1:3020", description="Address of the service reservations.")


class PaymentsSettings(SiteSettings, GateSettings, IdentitySettings):
    """The HTTP service."""

    payment_tries_max: int = Field(
        5, ge=1, le=100, description="Cards that may be declined for one reservation; then its payment is cancelled."
    )

    stripe_webhook_secret: Annotated[SecretStr, AfterValidator(_signing_secret)] = Field(
        description="Signs what Stripe posts to the webhook."
    )
    resale_fee_percent: int = Field(
        5, ge=0, le=100, description="What the site keeps of a ticket that is sold again, in percent of its price."
    )
    stripe_webhook_age_seconds: int = Field(
        300, ge=10, le=86_400, description="A webhook that was signed longer ago is refused."
    )


class WorkerSettings(SiteSettings, AuditSettings, SiteEventsSettings):
    """The worker."""

    payments_poll_seconds: float = Field(1.0, gt=0, le=60, description="Pause between two looks for work.")
    payment_grace_seconds: float = Field(
        60, ge=0, le=3600, description="After the hold's end a payment in progress has so long; then it is cancelled."
    )
    reconcile_seconds: float = Field(
        60, gt=0, le=86_400, description="Pause between two comparisons with Stripe, and of what has not moved since."
    )
    reconcile_hours: float = Field(24, gt=0, le=720, description="How far back Stripe's lists are compared.")
