"""Settings of the trainer."""

from pydantic import Field

from analytics.recommender.settings import ModelSettings
from analytics.settings import LakeSettings
from shared.settings import CommonSettings


class TrainerSettings(CommonSettings, LakeSettings, ModelSettings):
    """The trainer."""

    trainer_pause_seconds: float = Field(
        1800, ge=1, le=604_800, description="Pause between two trainings; none happens when the lake has nothing new."
    )
    trainer_events_min: int = Field(
        2_000, ge=100, le=1_000_000, description="Events that say what visitors like, below which nothing is trained."
    )
    trainer_events_max: int = Field(
        500_000, ge=1_000, le=5_000_000, description="Events that a model is trained from, the latest ones at most."
    )
    trainer_visitors_min: int = Field(
        50, ge=10, le=1_000_000, description="Visitors that a model must be tested on to become the current one."
    )
    trainer_threads: int = Field(1, ge=1, le=2, description="Threads of linear algebra.")
    trainer_seed: int = Field(1, ge=0, le=2**31, description="The same lake and seed make the same model.")
    model_margin: float = Field(
        0.02, ge=0, le=1, description="How much worse than the current model, in NDCG@5, a newer one may be."
    )
    model_versions_max: int = Field(5, ge=2, le=100, description="Versions that are kept; the current one always is.")
