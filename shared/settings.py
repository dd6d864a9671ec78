"""Settings: every environment variable that a process reads, in groups, checked once at start.

A secret `NAME`, or an address that may bear a password, may be given as `NAME` or as the path of a file that holds it,
`NAME_FILE`.
`load` ends the process with the variable's name, its value and what is expected; the value of a secret, and what may
bear a password, is never printed.
"""

import ipaddress
import os
import re
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo

CLIENT_ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LOGIN = re.compile(r"[^/@]*:[^@]*@")


class Concealed:
    """Marks a setting that may bear a password in one of its forms: whatever is given is not shown."""


def _client_id(value: str) -> str:
    if not CLIENT_ID_PATTERN.fullmatch(value):
        raise ValueError("1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit")
    return value


def _topic(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", value):
        raise ValueError("1 to 249 letters, digits, '.', '_' or '-'")
    return value


def _postgres_url(value: str) -> str:
    if not value.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
        raise ValueError("an address like postgresql://user:password@host:5432/database")
    return value


def _bootstrap_servers(value: str) -> str:
    for server in value.split(","):
        host, _, port = server.strip().rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError("a comma-separated list of host:port")
    return value


def _origins(value: str) -> str:
    for origin in split_list(value):
        if not re.fullmatch(r"https?://([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?", origin):
            raise ValueError("a comma-separated list of origins like https://shop.example:8443")
    return value


def _networks(value: str) -> str:
    for network in split_list(value):
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise ValueError("a comma-separated list of networks like 10.0.0.0/8") from None
    return value


def _service_url(value: str) -> str:
    if not re.fullmatch(r"https?://([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?", value):
        raise ValueError("an address like http://127.0.0.1:3030")
    return value.rstrip("/")


def _smtp_url(value: SecretStr) -> SecretStr:
    parts = urlsplit(value.get_secret_value())
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme not in ("smtp", "smtps", "smtp+starttls") or not parts.hostname or port == 0:
        raise ValueError("smtp://host:port, smtp+starttls://user:password@host:port or smtps://…")
    return value


def _certificates(value: Path) -> Path:
    try:
        ssl.create_default_context(cafile=str(value))
    except OSError:
        raise ValueError("the path of a PEM file with certificates") from None
    return value


def split_list(value: str) -> list[str]:
    """The parts of a comma-separated value, without blanks and empty parts."""
    return [part.strip() for part in value.split(",") if part.strip()]


ServiceUrl = Annotated[str, AfterValidator(_service_url)]
TopicName = Annotated[str, AfterValidator(_topic)]


class Settings(BaseModel):
    """The base of a service's settings: frozen, field `port` is read from the variable `PORT`."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)


class CommonSettings(Settings):
    """Settings that every process has."""

    client_id: Annotated[str, AfterValidator(_client_id)] = Field(
        "matchday", description="This site's name in the federation; goes out with every message."
    )
    environment: Literal["dev", "prod"] = Field("dev", description="The suffix of the topics' default names.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")


class DatabaseSettings(Settings):
    """PostgreSQL."""

    database_url: Annotated[str, AfterValidator(_postgres_url), Concealed()] = Field(
        description="postgresql://user:password@host:port/database"
    )
    database_pool_size: int = Field(8, ge=1, le=200, description="Connections a process may hold open.")
    database_connect_seconds: int = Field(5, ge=1, le=60, description="Longest wait for a connection.")
    database_lock_seconds: float = Field(5.0, gt=0, le=600, description="Longest wait for a row lock.")
    database_statement_seconds: float = Field(30.0, gt=0, le=3600, description="Longest statement.")


class KafkaSettings(CommonSettings):
    """The broker, the two topics of the federation, and this site's own."""

    kafka_bootstrap_servers: Annotated[str, AfterValidator(_bootstrap_servers)] = Field(
        description="Comma-separated host:port"
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="SASL_SSL for most brokers outside development."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="Used when the protocol begins with SASL_."
    )
    kafka_username: str | None = Field(None, description="SASL user.")
    kafka_password: SecretStr | None = Field(None, description="SASL password.")
    kafka_ca_file: Annotated[Path, AfterValidator(_certificates)] | None = Field(
        None, description="PEM file that the broker's certificate is checked by."
    )
    topic_masterlist: TopicName = Field("", validate_default=False, description="Name of the master list's topic.")
    topic_ticket_sales: TopicName = Field("", validate_default=False, description="Name of the sales log's topic.")

    topic_site_events: TopicName = Field(
        "", validate_default=False, description="Name of the topic of this site's own events."
    )

    @model_validator(mode="after")
    def _says_who_calls(self) -> Self:
        if self.kafka_security_protocol.startswith("SASL_") and not (self.kafka_username and self.kafka_password):
            raise ValueError(
                "KAFKA_USERNAME and KAFKA_PASSWORD are needed where KAFKA_SECURITY_PROTOCOL begins with SASL_"
            )
        return self

    @property
    def masterlist_topic(self) -> str:
        return self.topic_masterlist or f"fifa-world-cup-2022-masterlist-{self.environment}"

    @property
    def sales_topic(self) -> str:
        return self.topic_ticket_sales or f"fifa-world-cup-2022-ticket-sales-{self.environment}"

    @property
    def site_events_topic(self) -> str:
        return self.topic_site_events or f"matchday-site-events-{self.client_id}-{self.environment}"


class HttpSettings(CommonSettings):
    """A process that answers HTTP."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(ge=1, le=65535, description="Port to listen on.")
    http_threads: int = Field(128, ge=1, le=4096, description="Requests that one process works on at once.")
    body_bytes_max: int = Field(65_536, ge=1024, le=16_777_216, description="Largest request body, bytes.")
    quiet_seconds_max: float = Field(
        60.0, ge=1, le=3600, description="A connection on which the client has taken nothing for so long is closed."
    )
    cors_origins: Annotated[str, AfterValidator(_origins)] = Field(
        "", description="Comma-separated origins that browsers may call from; empty: none."
    )
    trusted_proxies: Annotated[str, AfterValidator(_networks)] = Field(
        "", description="Comma-separated CIDRs whose X-Forwarded-For is believed."
    )
    service_token: SecretStr = Field(
        min_length=16, description="Bearer token of the routes below /internal; 16 characters or more."
    )
    reauthentication_seconds: int = Field(
        300, ge=10, le=3600, description="An admin changes money and roles only so long after giving the password."
    )


class VisitorSettings(Settings):
    """Where visitors are from."""

    country_header: str = Field(
        "",
        pattern=r"^[A-Za-z0-9-]{0,64}$",
        description="Header in which a trusted proxy names the visitor's country, such as CF-IPCountry; empty: none.",
    )


class IdentitySettings(Settings):
    """How access tokens of accounts are verified."""

    users_url: ServiceUrl = Field("http://127.0.0.1:3030", description="Address of the service users.")
    token_issuer: str = Field(
        "matchday", pattern=r"^[\w.:/-]{1,200}$", description="Who signs access tokens; the same in all processes."
    )
    jwks_refresh_seconds: float = Field(
        300, ge=1, le=86_400, description="Pause between two looks at the keys that access tokens are signed with."
    )


class AuditSettings(Settings):
    """Where the log of what admins change is kept."""

    security_url: ServiceUrl = Field("http://127.0.0.1:3050", description="Address of the service security.")


class PseudonymSettings(Settings):
    """How accounts are named to analytics."""

    analytics_secret: SecretStr = Field(
        min_length=16, description="Makes the pseudonyms of accounts; the same in all processes, 16 characters or more."
    )


class SiteEventsSettings(KafkaSettings, PseudonymSettings):
    """What happens here, on its way to this site's own analytics."""

    site_events_waiting_max: int = Field(
        200_000,
        ge=1_000,
        le=10_000_000,
        description="Events that a service keeps in PostgreSQL while the broker is away; beyond that the oldest go.",
    )


class TopicSettings(KafkaSettings):
    """What the topics are made with; those that exist stay as they are."""

    site_events_retention_days: int = Field(
        0,
        ge=0,
        le=36_500,
        description="Days that the topic of this site's own events keeps them; 0: for ever, so that the lake can be"
        " rebuilt from it.",
    )


class MailSettings(Settings):
    """Mail that goes out."""

    smtp_url: Annotated[SecretStr, AfterValidator(_smtp_url)] = Field(
        description="The mail server: `smtp://host:port`, `smtp+starttls://user:password@host:port` or `smtps://…`."
    )
    mail_from: str = Field(
        "tickets@matchday.example",
        max_length=254,
        pattern=r"^[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]+$",
        description="The sender's address.",
    )


S = TypeVar("S", bound=Settings)


def load(settings: type[S], environ: Mapping[str, str] = os.environ) -> S:
    """The settings from the environment; ends the process with exit code 2 when one is wrong."""
    try:
        return settings.model_validate(_values(settings, environ))
    except ValidationError as error:
        _give_up([_explain(settings, dict(problem)) for problem in error.errors()])
    except OSError as error:
        _give_up([f"{error.filename}: {error.strerror}"])


def _values(settings: type[Settings], environ: Mapping[str, str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, field in settings.model_fields.items():
        variable = name.upper()
        value = from_environment_or_file(variable, environ) if _is_concealed(field) else environ.get(variable, "")
        if value != "":
            values[name] = value
    return values


def from_environment_or_file(variable: str, environ: Mapping[str, str]) -> str:
    """The variable's value, else what the file holds that `NAME_FILE` names, else nothing. Raises `OSError`."""
    if environ.get(variable):
        return environ[variable]
    path = environ.get(f"{variable}_FILE")
    return Path(path).read_text("utf-8").strip() if path else ""


def _explain(settings: type[Settings], problem: dict[str, Any]) -> str:
    if not problem["loc"]:
        return _explain_together(settings, problem)
    name = str(problem["loc"][0])
    field = settings.model_fields.get(name)
    missing = problem["type"] == "missing"
    what = "missing" if missing else f"wrong: {problem['msg']}"
    given = "" if missing or _is_concealed(field) else f" (given: {_shown(problem['input'])})"
    about = f" - {field.description}" if field is not None and field.description else ""
    return f"{name.upper()} is {what}{given}{about}"


def _explain_together(settings: type[Settings], problem: dict[str, Any]) -> str:
    """Settings that do not go together: those that the message names. The input is all there are, secrets too."""
    message = str(problem["msg"]).removeprefix("Value error, ")
    named = [name for name in settings.model_fields if re.search(rf"\b{name.upper()}\b", message)]
    given = [
        f"{name.upper()}={_shown(problem['input'][name])}"
        for name in named
        if name in problem["input"] and not _is_concealed(settings.model_fields[name])
    ]
    return message + (f" (given: {', '.join(given)})" if given else "")


def _is_concealed(field: FieldInfo | None) -> bool:
    if field is None or "SecretStr" in str(field.annotation):
        return True
    return any(isinstance(mark, Concealed) for mark in field.metadata)


def _shown(given: Any) -> str:
    """A value as it may be shown: an address without the password in front of its host."""
    return repr(LOGIN.sub("***@", str(given)))


def _give_up(problems: list[str]) -> NoReturn:
    for problem in problems:
        print(f"settings: {problem}", file=sys.stderr)  # noqa: T201 - logging is not set up yet
    raise SystemExit(2)
