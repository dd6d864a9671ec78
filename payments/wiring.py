"""What `app.py` makes and the routes use."""

from dataclasses import dataclass

from payments.events import EventReader
from payments.handlers import Site


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the routes use; `resale_fee_percent` is what the site keeps of a ticket that is sold again."""

    site: Site
    events: EventReader
    resale_fee_percent: int
