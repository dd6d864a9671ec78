"""Settings of how the shop gets recommendations."""

from typing import Literal

from pydantic import Field

from shared.settings import ServiceUrl, Settings


class RecommendationSettings(Settings):
    """How long analytics is waited for, and when it is left alone."""

    analytics_url: ServiceUrl = Field("http://127.0.0.1:3060", description="Address of the service analytics.")
    recommendations_seconds_max: float = Field(
        0.15, gt=0, le=5, description="Longest wait for analytics' advice; then a rule decides."
    )
    recommendations_failures_max: int = Field(
        3, ge=1, le=1000, description="Failures in a row after which analytics is not asked for a while."
    )
    recommendations_pause_seconds: float = Field(
        5.0, gt=0, le=600, description="How long it is not asked then; afterwards one question tries it."
    )
    recommendations_end_at_kick_off: Literal["on", "off"] = Field(
        "on", description="Whether what has begun is not recommended; `off` is for master lists of the past."
    )
