"""What every process that touches the counters must know; the same at every site of a federation where it says so."""

from typing import Literal

from pydantic import Field

from shared.settings import DatabaseSettings, KafkaSettings
from shop.inventory.apply import Federation
from shop.inventory.outgoing import Sender


class InventorySettings(KafkaSettings, DatabaseSettings):
    """The federation's rules and the way to the log and the database."""

    client_id_in: Literal["headers", "meta", "body"] = Field(
        "headers", description="Where partners want the client id besides the record's headers."
    )
    log_hold_seconds: int = Field(
        3600, ge=1, le=7 * 86_400, description="Federation-wide: a hold in the log ends after this time of its clock."
    )
    quantity_max: int = Field(2, ge=1, le=1000, description="Federation-wide: most tickets of one message.")

    def federation(self) -> Federation:
        """The same, as the counters take it."""
        return Federation(
            self.client_id,
            self.sales_topic,
            self.log_hold_seconds * 1000,
            self.quantity_max,
            Sender(self.client_id, self.client_id_in, self.sales_topic),
        )
