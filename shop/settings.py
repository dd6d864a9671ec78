"""Settings of the shop."""

from pydantic import Field, model_validator

from security.engine.settings import GateSettings
from shared.settings import IdentitySettings, SiteEventsSettings, VisitorSettings
from shop.inventory.settings import InventorySettings
from shop.recommendations.settings import RecommendationSettings


class ShopSettings(
    InventorySettings, GateSettings, IdentitySettings, SiteEventsSettings, VisitorSettings, RecommendationSettings
):
    """The HTTP service."""

    currency: str = Field("USD", pattern=r"^[A-Z]{3}$", description="ISO 4217 code of the master list's prices.")
    snapshot_seconds: float = Field(
        0.2, gt=0, le=0.5, description="Readers within this time share one look at the database."
    )
    sse_viewers_max: int = Field(2000, ge=1, le=10_000, description="Streams of availability open at once.")
    sse_address_viewers_max: int = Field(
        100,
        ge=1,
        le=10_000,
        description="Streams open at once from one address (IPv6: a network of 64 bits), in one process; a thousand"
        " times as many in development.",
    )
    sse_pause_seconds: float = Field(
        0.25, gt=0, le=5, description="Least time between two sendings to all viewers of the stream."
    )
    sse_heartbeat_seconds: float = Field(15.0, gt=0, le=30, description="Longest silence of a stream.")

    @model_validator(mode="after")
    def _viewers_are_not_quiet(self) -> "ShopSettings":
        if self.sse_heartbeat_seconds * 2 > self.quiet_seconds_max:
            raise ValueError("SSE_HEARTBEAT_SECONDS must be at most half of QUIET_SECONDS_MAX")
        return self
