"""Settings of the service and its worker."""

from typing import Literal

from pydantic import Field, SecretStr

from security.engine.settings import GateSettings
from shared.settings import (
    AuditSettings,
    CommonSettings,
    DatabaseSettings,
    IdentitySettings,
    MailSettings,
    ServiceUrl,
)


class KeySettings(CommonSettings, DatabaseSettings):
    """The keys that access tokens are signed with."""

    users_secret: SecretStr = Field(
        min_length=16, description="Encrypts the private keys in the database; 16 characters or more."
    )
    access_token_seconds: int = Field(600, ge=10, le=3600, description="How long an access token is valid.")
    key_days: float = Field(90, gt=0, le=3650, description="How long one key signs.")
    key_lead_seconds: float = Field(
        900, ge=0, le=86_400, description="A new key is published so long before it signs; above JWKS_REFRESH_SECONDS."
    )


class UsersSettings(KeySettings, IdentitySettings, GateSettings):
    """The HTTP service."""

    cookies_secure: Literal["on", "off"] = Field(
        "on", description="`off` lets pages without TLS have the cookies; `up` does so."
    )
    session_days: float = Field(90, gt=0, le=3650, description="A session ends after so long, however it is used.")
    session_idle_days: float = Field(30, gt=0, le=3650, description="A session that is not refreshed for so long ends.")
    sessions_max: int = Field(20, ge=1, le=1000, description="Open sessions of an account; the oldest give way.")
    sign_in_failures_max: int = Field(
        20, ge=1, le=10_000, description="Wrong passwords for one address before further ones have to wait."
    )
    sign_in_window_seconds: int = Field(900, ge=1, le=86_400, description="How long wrong passwords are remembered.")
    recent_seconds: int = Field(
        900, ge=10, le=86_400, description="An account is deleted only by who has signed in within this time."
    )
    # At least what OWASP's cheat sheet on password storage asks of Argon2id.
    password_memory_kib: int = Field(19_456, ge=8192, le=4_194_304, description="Argon2id: memory of one hash, KiB.")
    password_rounds: int = Field(2, ge=1, le=100, description="Argon2id: passes over the memory.")
    password_lanes: int = Field(1, ge=1, le=16, description="Argon2id: parallelism.")
    password_hashes_at_once: int = Field(
        4, ge=1, le=256, description="Passwords that are hashed at once; each takes PASSWORD_MEMORY_KIB."
    )


class UsersWorkerSettings(KeySettings, MailSettings, AuditSettings):
    """The worker."""

    worker_poll_seconds: float = Field(1.0, gt=0, le=60, description="Pause between two looks for work.")
    service_token: SecretStr = Field(
        min_length=16, description="Bearer token of the routes below /internal; 16 characters or more."
    )
    reservations_url: ServiceUrl = Field("http://127.0.0.1:3020", description="Address of the service reservations.")
    payments_url: ServiceUrl = Field("http://127.0.0.1:3040", description="Address of the service payments.")
    analytics_url: ServiceUrl = Field("http://127.0.0.1:3060", description="Address of the service analytics.")
    public_url: ServiceUrl = Field("http://127.0.0.1:9000", description="Where the pages are, for links in mails.")
    mails_an_hour_max: int = Field(5, ge=1, le=1000, description="Mails of one kind to one address within an hour.")
