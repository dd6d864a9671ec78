"""Settings of the gate, which every service has."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from security.engine.rates import Rates, parse
from shared.settings import Concealed, HttpSettings, split_list

CLASSES = (
    "read", "write", "hold", "pay", "sign_in", "sign_up", "mail", "gate", "webhook", "internal", "nowhere",
    "challenge",
)  # fmt: skip
DEVELOPMENT_SCALE = 1000.0


def _redis_url(value: str) -> str:
    if not value.startswith(("redis://", "rediss://")):
        raise ValueError("an address like redis://host:6379/0")
    return value


def _rates(value: str) -> str:
    parse(value)
    return value


def _classes(value: str) -> str:
    if value != "none" and not set(split_list(value)) <= set(CLASSES):
        raise ValueError(f"'none', or some of {', '.join(CLASSES)}")
    return value


RatesText = Annotated[str, AfterValidator(_rates)]


def _field(default: str, what: str) -> Any:
    return Field(default, description=what)


class GateSettings(HttpSettings):
    """What the gate of a service goes by."""

    redis_url: Annotated[str, AfterValidator(_redis_url), Concealed()] = Field(description="redis://host:port/number")
    redis_seconds_max: float = Field(
        0.1, gt=0, le=5, description="Longest wait for Redis; after one that was in vain nobody waits until it is back."
    )
    refuse_when_redis_down: Annotated[str, AfterValidator(_classes)] = Field(
        "sign_in,sign_up,pay,mail,gate",
        description="Classes of routes that answer 503 while Redis is away; each process limits the others by itself.",
    )
    rate_scale: float = Field(
        0,
        ge=0,
        le=1_000_000,
        description=f"All rates are so many times as high. 0: 1 in production, {DEVELOPMENT_SCALE:g} in development,"
        " where everything comes from one machine.",
    )
    rate_read: RatesText = _field("account 20/s 100, guest 50/s 500, address 500/s 5000", "What only reads.")
    rate_write: RatesText = _field("account 2/s 20, guest 5/s 50, address 100/s 1000", "What changes something.")
    rate_hold: RatesText = _field("account 20/h 10, guest 10/m 20, address 50/s 500", "Holding tickets.")
    rate_pay: RatesText = _field("account 10/m 10, guest 20/m 20, address 20/s 200", "Paying.")
    rate_sign_in: RatesText = _field("account 10/m 10, guest 20/m 20, address 10/s 100", "Signing in.")
    rate_sign_up: RatesText = _field("account 10/h 10, guest 10/m 10, address 2/s 60", "New accounts.")
    rate_mail: RatesText = _field("account 10/h 5, guest 20/h 10, address 1/s 60", "What makes us send an e-mail.")
    rate_gate: RatesText = _field("account 20/s 100, guest 1/s 10, address 200/s 1000", "Scanners at the gate.")
    rate_webhook: RatesText = _field("address 500/s 5000", "What Stripe sends.")
    rate_internal: RatesText = _field("address 2000/s 20000", "This site's own services.")
    rate_nowhere: RatesText = _field("account 2/s 20, guest 1/s 20, address 20/s 200", "Paths that lead nowhere.")
    rate_challenge: RatesText = _field("address 20/s 200", "Asking for a challenge.")
    failures_mark: int = Field(10, ge=1, le=100_000, description="Failures in a row that bring the challenge.")
    failures_ban: int = Field(50, ge=2, le=100_000, description="Failures in a row that block.")
    failures_forgotten_seconds: float = Field(
        60, gt=0, le=86_400, description="One failure is forgotten after so long."
    )
    mark_seconds: float = Field(900, ge=1, le=86_400, description="How long somebody is challenged for failures.")
    ban_seconds: float = Field(300, ge=1, le=86_400, description="How long somebody is blocked for failures.")
    challenge_cost: int = Field(
        1000, ge=1, le=1_000_000, description="Iterations of PBKDF2 that one try at a challenge costs."
    )
    challenge_tries: int = Field(
        2000, ge=1, le=1_000_000, description="Tries that a challenge needs at most; half of it on average."
    )
    challenge_seconds: int = Field(300, ge=10, le=3600, description="How long a challenge may be solved.")
    pass_seconds: int = Field(1800, ge=10, le=86_400, description="How long a solution spares its sender another one.")
    audit_entries_max: int = Field(
        100_000,
        ge=1000,
        le=10_000_000,
        description="Decisions that wait in Redis for the audit log; older ones are lost.",
    )

    def rates(self) -> dict[str, Rates]:
        """The rates of every class."""
        scale = self.rate_scale or (1.0 if self.environment == "prod" else DEVELOPMENT_SCALE)
        return {name: parse(getattr(self, f"rate_{name}")).scaled(scale) for name in CLASSES}

    def failure_scale(self) -> float:
        """How many times as many failures are borne."""
        return self.rate_scale or (1.0 if self.environment == "prod" else DEVELOPMENT_SCALE)

    def refused_classes(self) -> frozenset[str]:
        """Classes that are refused while Redis is away."""
        text = self.refuse_when_redis_down
        return frozenset() if text == "none" else frozenset(split_list(text))
