"""Settings of the consumer."""

from pydantic import Field

from security.engine.settings import GateSettings
from shared.settings import AuditSettings, IdentitySettings
from shop.inventory.settings import InventorySettings


class ConsumerSettings(InventorySettings, GateSettings, IdentitySettings, AuditSettings):
    """The consumer and its HTTP side."""

    consumer_member: str = Field(
        "1", pattern=r"^[A-Za-z0-9._-]{1,50}$", description="This replica's name; each replica of a site needs its own."
    )
    consumer_batch_max: int = Field(5000, ge=1, le=50_000, description="Most records that share one transaction.")
    masterlist_poll_seconds: float = Field(0.5, gt=0, le=60, description="Pause between two looks at the master list.")
