"""Settings of the recommender in the service; those of the trainer stand apart, since they need the lake's."""

from typing import Literal

from pydantic import Field

from shared.settings import Settings


class ModelSettings(Settings):
    """Where models are."""

    model_folder: str = Field(
        "models", min_length=1, description="Folder of the trained models, which trainer and service share."
    )


class ServingSettings(ModelSettings):
    """The service's part."""

    recommender_refresh_seconds: float = Field(
        30.0, ge=0.1, le=3600, description="Pause between two looks for a newer model, catalogue and histories."
    )
    recommender_events_max: int = Field(
        500_000, ge=1_000, le=5_000_000, description="Events of visitors kept in memory for their histories."
    )
    recommendations_end_at_kick_off: Literal["on", "off"] = Field(
        "on", description="Whether what has begun is not recommended; `off` is for master lists of the past."
    )
    recommender_history_days: int = Field(
        180, ge=1, le=3650, description="How far back a visitor's history goes, in days."
    )
