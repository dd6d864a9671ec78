"""Settings of the service, its relay and its worker."""

from pydantic import Field, SecretStr, model_validator

from shared.settings import HttpSettings
from shop.inventory.settings import InventorySettings


class HoldSettings(InventorySettings):
    """How long holds last here."""

    hold_seconds: float = Field(600, gt=0, le=86_400, description="Time that a buyer has to pay.")
    verdict_seconds: float = Field(
        30, gt=0, le=3600, description="A hold that the log has not judged by then is given back."
    )

    @model_validator(mode="after")
    def _hold_ends_first(self) -> "HoldSettings":
        if self.hold_seconds >= self.log_hold_seconds:
            raise ValueError("HOLD_SECONDS must be below LOG_HOLD_SECONDS, the federation's own limit")
        return self


class ReservationsSettings(HoldSettings, HttpSettings):
    """The HTTP service."""

    token_secret: SecretStr = Field(min_length=16, description="Signs guests' access tokens; 16 characters or more.")
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$", description="ISO 4217 code of the master list's prices.")
    purchase_limit: int = Field(6, ge=1, le=1000, description="Most tickets of one match a buyer may hold or own.")
    submit_batch_max: int = Field(64, ge=1, le=1000, description="Most submits that share one transaction.")
    submit_gather_seconds: float = Field(
        0.004, ge=0, le=1, description="In a rush, how long a transaction waits for more submits to share it."
    )
    submit_threads: int = Field(1, ge=1, le=16, description="Transactions of submits that may run at once.")
    submit_queue_max: int = Field(1000, ge=1, le=100_000, description="Submits that may wait for a transaction.")


class WorkerSettings(HoldSettings):
    """The worker."""

    worker_poll_seconds: float = Field(1.0, gt=0, le=60, description="Pause between two looks for work.")
