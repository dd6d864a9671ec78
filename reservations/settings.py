"""Settings of the service, its relay and its worker."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, model_validator

from reservations.tickets.codes import TicketCodes, read_seeds
from reservations.waiting_room.settings import WaitingRoomSettings
from security.engine.settings import GateSettings
from shared.settings import (
    AuditSettings,
    CommonSettings,
    IdentitySettings,
    MailSettings,
    ServiceUrl,
    Settings,
    SiteEventsSettings,
    VisitorSettings,
)
from shop.inventory.settings import InventorySettings


class ResaleSettings(Settings):
    """Tickets that are sold again."""

    resale_price_cap_percent: int = Field(
        110, ge=1, le=1000, description="Highest price of a listing, in percent of what the site sold the ticket for."
    )
    resale_ends_at_kick_off: Literal["on", "off"] = Field(
        "on", description="Whether nothing is resold once its match has begun; `off` is for master lists of the past."
    )


class HoldSettings(InventorySettings, ResaleSettings):
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


def _ticket_keys(value: SecretStr) -> SecretStr:
    read_seeds(value.get_secret_value())
    return value


class TicketSettings(CommonSettings):
    """Tickets."""

    ticket_keys: Annotated[SecretStr, AfterValidator(_ticket_keys)] = Field(
        description="Sign tickets: Ed25519 keys, 32 random bytes each in base64url, separated by commas. The first one"
        " signs, the others verify what was printed before."
    )

    def codes(self) -> TicketCodes:
        """Signs and reads the codes of this site's tickets."""
        return TicketCodes(read_seeds(self.ticket_keys.get_secret_value()), self.client_id)


class PaymentsSettings(Settings):
    """The way to the service payments."""

    payments_url: ServiceUrl = Field("http://127.0.0.1:3040", description="Address of the service payments.")


class ReservationsSettings(
    HoldSettings,
    GateSettings,
    IdentitySettings,
    TicketSettings,
    PaymentsSettings,
    WaitingRoomSettings,
    VisitorSettings,
):
    """The HTTP service."""

    token_secret: SecretStr = Field(min_length=16, description="Signs guests' access tokens; 16 characters or more.")
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$", description="ISO 4217 code of the master list's prices.")
    purchase_limit: int = Field(6, ge=1, le=1000, description="Most tickets of one match a buyer may hold or own.")
    card_purchases: Literal["on", "off"] = Field(
        "on", description="Whether `POST /api/reservation` takes card data; `off`: there is no such route."
    )
    card_purchase_seconds: float = Field(
        10, gt=0, le=25, description="Longest wait of `POST /api/reservation` for the log's verdict."
    )
    submit_batch_max: int = Field(64, ge=1, le=1000, description="Most submits that share one transaction.")
    submit_gather_seconds: float = Field(
        0.004, ge=0, le=1, description="In a rush, how long a transaction waits for more submits to share it."
    )
    submit_threads: int = Field(1, ge=1, le=16, description="Transactions of submits that may run at once.")
    submit_queue_max: int = Field(1000, ge=1, le=100_000, description="Submits that may wait for a transaction.")


class WorkerSettings(HoldSettings, MailSettings, TicketSettings, PaymentsSettings, AuditSettings, SiteEventsSettings):
    """The worker."""

    service_token: SecretStr = Field(
        min_length=16, description="Bearer token of the routes below /internal; 16 characters or more."
    )

    shop_url: ServiceUrl = Field("http://127.0.0.1:3000", description="Address of the service shop.")
    worker_poll_seconds: float = Field(1.0, gt=0, le=60, description="Pause between two looks for work.")
