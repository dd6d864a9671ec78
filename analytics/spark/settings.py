"""Settings of a job on Spark."""

from pydantic import Field

from analytics.settings import LakeSettings
from shared.settings import CommonSettings


class SparkSettings(CommonSettings, LakeSettings):
    """Which lake, and whose site."""

    log_hold_seconds: int = Field(
        3600, ge=1, le=7 * 86_400, description="Federation-wide: a hold in the log ends after this time of its clock."
    )
