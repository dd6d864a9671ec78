"""Settings of the stand-in."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from shared.settings import HttpSettings


def _test_key(value: SecretStr) -> SecretStr:
    # A stand-in that took a live key would be one mistake away from money.
    if not value.get_secret_value().startswith("sk_test_"):
        raise ValueError("a test key: sk_test_ and letters or digits")
    return value


def _signing_secret(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith("whsec_"):
        raise ValueError("whsec_ and letters or digits")
    return value


class StandinSettings(HttpSettings):
    """The Stripe stand-in."""

    stripe_secret_key: Annotated[SecretStr, AfterValidator(_test_key)] = Field(
        description="The key that it takes; sk_test_…."
    )
    stripe_webhook_secret: Annotated[SecretStr, AfterValidator(_signing_secret)] = Field(
        description="Signs its events; whsec_…."
    )
    payments_url: str = Field(
        "", max_length=2000, description="The service payments, to which it posts its events; empty: nowhere."
    )
    stripe_standin_file: Path = Field(description="Where it keeps its state.")
    stripe_standin_refund_seconds: float = Field(
        1.0, ge=0, le=3600, description="After this time a refund that is pending, or fails later, is settled."
    )
