"""Settings of the service and of the lake's writer."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from analytics.recommender.settings import ServingSettings
from security.engine.settings import GateSettings
from shared.settings import (
    CommonSettings,
    DatabaseSettings,
    IdentitySettings,
    KafkaSettings,
    PseudonymSettings,
    Settings,
)

# Of each request to S3, and of all tries of one.
BOUNDS = {"connect_timeout": "2s", "timeout": "30s", "max_retries": "3", "retry_timeout": "30s"}


def _place(value: str) -> str:
    if "://" in value and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._/-]*)?", value):
        raise ValueError("the path of a folder, or s3://bucket/path")
    return value


def _endpoint(value: str) -> str:
    if value and not re.fullmatch(r"https?://([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?", value):
        raise ValueError("an address like https://s3.example:9000")
    return value


class LakeSettings(Settings):
    """Where the lake lies."""

    lake_uri: Annotated[str, AfterValidator(_place)] = Field(
        min_length=1, description="The path of a folder, or `s3://bucket/path`."
    )
    lake_s3_endpoint: Annotated[str, AfterValidator(_endpoint)] = Field(
        "", description="Address of an S3-compatible server; empty: Amazon's own, by the region."
    )
    lake_s3_region: str = Field("us-east-1", pattern=r"^[a-z0-9-]{1,50}$", description="The bucket's region.")
    lake_s3_access_key: SecretStr | None = Field(None, description="Key id; none: what the machine's role gives.")
    lake_s3_secret_key: SecretStr | None = Field(None, description="The key's secret.")

    def storage(self) -> dict[str, str]:
        """How to reach S3, in the words of the object store; empty for a folder."""
        if not self.lake_uri.startswith("s3://"):
            return {}
        options = {"AWS_REGION": self.lake_s3_region, "AWS_CONDITIONAL_PUT": "etag", **BOUNDS}
        if self.lake_s3_endpoint:
            options["AWS_ENDPOINT_URL"] = self.lake_s3_endpoint
            options["AWS_ALLOW_HTTP"] = "true" if self.lake_s3_endpoint.startswith("http://") else "false"
        if self.lake_s3_access_key and self.lake_s3_secret_key:
            options["AWS_ACCESS_KEY_ID"] = self.lake_s3_access_key.get_secret_value()
            options["AWS_SECRET_ACCESS_KEY"] = self.lake_s3_secret_key.get_secret_value()
        return options


class LakeCommandSettings(CommonSettings, LakeSettings):
    """Commands that look into a lake or fill one."""

    log_hold_seconds: int = Field(
        3600, ge=1, le=7 * 86_400, description="Federation-wide: a hold in the log ends after this time of its clock."
    )


class AnalyticsSettings(
    GateSettings, IdentitySettings, DatabaseSettings, LakeSettings, PseudonymSettings, ServingSettings
):
    """The HTTP service."""

    log_hold_seconds: int = Field(
        3600, ge=1, le=7 * 86_400, description="Federation-wide: a hold in the log ends after this time of its clock."
    )
    figures_fresh_seconds: float = Field(
        5.0, ge=0, le=3600, description="Statistics are given again for so long before the lake is asked anew."
    )
    figures_seconds_max: float = Field(
        20.0, gt=0, le=600, description="Longest wait for the lake's turn, and longest question to it."
    )
    figures_watch_seconds: float = Field(
        60.0, ge=1, le=86_400, description="Pause between two looks at the lake for the metrics."
    )


class WriterSettings(KafkaSettings, DatabaseSettings, LakeSettings):
    """The lake's writer."""

    quantity_max: int = Field(2, ge=1, le=1000, description="Federation-wide: most tickets of one message.")
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$", description="ISO 4217 code of the master list's prices.")
    lake_commit_rows: int = Field(
        100_000, ge=1, le=5_000_000, description="Rows that are committed at once, at most about so many."
    )
    lake_commit_seconds: float = Field(
        5.0,
        gt=0,
        le=3600,
        description="Pause between two looks at the topics: what came meanwhile is one commit.",
    )
    lake_upkeep_seconds: float = Field(
        300, gt=0, le=86_400, description="Pause between two rounds in which small files become large ones."
    )
    lake_keep_seconds: int = Field(
        3600,
        ge=1,
        le=31_536_000,
        description="Files that a commit has replaced are deleted after so long: readers of an older commit have it.",
    )
    lake_small_files_max: int = Field(
        8, ge=2, le=10_000, description="A day's small files become one when there are more."
    )
