"""Settings of the pages."""

from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from security.engine.settings import GateSettings
from shared.settings import IdentitySettings, ServiceUrl, _service_url

STRIPE = "https://api.stripe.com"
STRIPE_JS = "https://js.stripe.com/v3/"
STANDIN_JS_PATH = "/standin/element.js"
STANDIN_PAGE_PATH = "/standin/pay"


def _service_url_or_none(value: str) -> str:
    return _service_url(value) if value else ""


def _time_zone(value: str) -> str:
    try:
        return ZoneInfo(value).key if value else ""
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError("the name of a time zone, such as Asia/Qatar") from None


OptionalUrl = Annotated[str, AfterValidator(_service_url_or_none)]


class ClientSettings(GateSettings, IdentitySettings):
    """The pages."""

    shop_url: ServiceUrl = Field("http://127.0.0.1:3000", description="Address of the service shop.")
    reservations_url: ServiceUrl = Field("http://127.0.0.1:3020", description="Address of the service reservations.")
    payments_url: ServiceUrl = Field("http://127.0.0.1:3040", description="Address of the service payments.")
    security_url: ServiceUrl = Field("http://127.0.0.1:3050", description="Address of the service security.")
    shop_consumer_url: ServiceUrl = Field("http://127.0.0.1:3010", description="Address of the consumer's HTTP side.")
    analytics_url: ServiceUrl = Field("http://127.0.0.1:3060", description="Address of the service analytics.")
    public_url: ServiceUrl = Field("http://127.0.0.1:9000", description="Where the pages are, for links in mails.")
    cookies_secure: Literal["on", "off"] = Field(
        "on", description="`off` lets pages without TLS have the cookies; `up` does so."
    )
    match_time_zone: Annotated[str, AfterValidator(_time_zone)] = Field(
        "",
        description="Time zone that kick-offs are shown in, such as Asia/Qatar; empty: UTC."
        " `up` gives that of the packaged lists.",
    )
    service_seconds_max: float = Field(
        10, gt=0, le=60, description="Longest wait of a page for a service, beside what it asked the service to wait."
    )
    verdict_wait_seconds: float = Field(
        5, ge=0, le=30, description="How long a page waits for the verdict on a hold before it shows that it waits."
    )
    recommended_wait_seconds: float = Field(
        0.5, gt=0, le=10, description="Longest wait of the list of matches for recommendations; then it has none."
    )
    live_relays_max: int = Field(
        200,
        ge=1,
        le=10_000,
        description="Live streams that the pages hand on at once, where no proxy leads to the shop.",
    )
    stripe_api_base: ServiceUrl = Field(STRIPE, description="Address of Stripe's API.")
    stripe_publishable_key: str = Field(
        "pk_test_standin",
        pattern=r"^pk_(test|live)_[A-Za-z0-9]{1,200}$",
        description="Stripe's key for pages; any will do with the stand-in.",
    )
    stripe_js_url: OptionalUrl = Field(
        "", description="Where browsers find Stripe.js. Empty: Stripe's own, or the stand-in's at STRIPE_API_BASE."
    )
    payment_page_url: OptionalUrl = Field(
        "",
        description="A page that takes a card without scripts; empty: the stand-in's. Stripe has none.",
    )

    @property
    def with_stripe(self) -> bool:
        """Whether it is Stripe itself that takes the money."""
        return self.stripe_api_base == STRIPE

    @property
    def stripe_js(self) -> str:
        """Address of Stripe.js, or of what stands for it."""
        return self.stripe_js_url or (STRIPE_JS if self.with_stripe else self.stripe_api_base + STANDIN_JS_PATH)

    @property
    def payment_page(self) -> str | None:
        """Address of the page where one pays without scripts, if there is one."""
        return self.payment_page_url or (None if self.with_stripe else self.stripe_api_base + STANDIN_PAGE_PATH)
