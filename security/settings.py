"""Settings of the service."""

from pydantic import Field

from security.engine.settings import GateSettings
from shared.settings import DatabaseSettings, IdentitySettings


class SecuritySettings(GateSettings, IdentitySettings, DatabaseSettings):
    """The HTTP service."""

    audit_days: int = Field(90, ge=1, le=3650, description="Days that the audit log keeps a decision.")
    admin_audit_days: int = Field(
        3650, ge=1, le=36_500, description="Days that the log of what admins change keeps an action."
    )
    list_entries_max: int = Field(10_000, ge=1, le=1_000_000, description="Entries that the lists take.")
