"""One site on this machine: its name, ports, folders, secrets and the file that tells others about it."""

import contextlib
import fcntl
import json
import os
import re
import secrets
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from matchday.errors import RunnerError
from matchday.paths import VAR
from matchday.run import start_time
from shared.settings import from_environment_or_file

SITE_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
PORT_OFFSET_MAX = 40_000
# Addresses of servers that may bear a password.
MAY_BE_IN_FILES = ("DATABASE_URL", "REDIS_URL", "SMTP_URL")
# A new one is 32 random bytes in base64url, which is what a signing key is made of, too.
SECRETS = {
    "SERVICE_TOKEN": "service-token",
    "TOKEN_SECRET": "token-secret",
    "TICKET_KEYS": "ticket-keys",
    "USERS_SECRET": "users-secret",
    "ANALYTICS_SECRET": "analytics-secret",
    "STRIPE_SECRET_KEY": "stripe-secret-key",
    "STRIPE_WEBHOOK_SECRET": "stripe-webhook-secret",
}
# Stripe's own begin like this, and so the stand-in takes ours.
BEGINNINGS = {"STRIPE_SECRET_KEY": "sk_test_", "STRIPE_WEBHOOK_SECRET": "whsec_"}
NOT_FOR_CHILDREN = (
    "MAKEFLAGS",
    "MFLAGS",
    "MAKELEVEL",
    "MAKE_TERMOUT",
    "MAKE_TERMERR",
    "PORT",
    "HOST",
    "PYTHONDONTWRITEBYTECODE",
)


@dataclass(frozen=True)
class Site:
    """A site by its name; two sites never share a folder or, with other offsets, a port."""

    name: str = "matchday"
    port_offset: int = 0
    var: Path = VAR
    given: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Site":
        """SITE, PORT_OFFSET and whatever else the operator has set."""
        name = environ.get("SITE") or "matchday"
        if not SITE_PATTERN.fullmatch(name) or name == "tests":
            raise RunnerError(
                f"SITE is wrong: {name!r}; expected are 1 to 32 letters, digits, '.', '_' or '-', not 'tests'"
            )
        offset = environ.get("PORT_OFFSET") or "0"
        if not offset.isdecimal() or int(offset) > PORT_OFFSET_MAX:
            raise RunnerError(f"PORT_OFFSET is wrong: {offset!r}; expected is 0 to {PORT_OFFSET_MAX}")
        return cls(name, int(offset), given={**environ, **_addresses_in_files(environ)})

    @property
    def directory(self) -> Path:
        return self.var / self.name

    @property
    def logs(self) -> Path:
        return self.directory / "log"

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def run_directory(self) -> Path:
        return self.directory / "run"

    @property
    def document(self) -> Path:
        return self.directory / "site.json"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def make_directories(self) -> None:
        # Others may pass through: as root PostgreSQL runs as somebody else. Secrets have a folder of their own.
        for path in (self.directory, self.logs, self.data, self.run_directory):
            path.mkdir(parents=True, exist_ok=True)

    def environment(self, addresses: Mapping[str, str]) -> dict[str, str]:
        """The environment of the site's processes; `addresses` are those of its servers."""
        kept = {name: value for name, value in self.given.items() if name not in NOT_FOR_CHILDREN}
        client_id = kept.get("CLIENT_ID") or self.name
        own = {"SITE": self.name, "CLIENT_ID": client_id, "PYTHONUNBUFFERED": "1", **self.secret_files()}
        return {**self._unless_given(), **kept, **own, **addresses}

    def _unless_given(self) -> dict[str, str]:
        """What suits a machine of one's own: pages without TLS, mail and payments that stay here."""
        return {
            "COOKIES_SECURE": "off",
            "MATCH_TIME_ZONE": "Asia/Qatar",
            # The packaged master lists are of 2022.
            "RESALE_ENDS_AT_KICK_OFF": "off",
            "RECOMMENDATIONS_END_AT_KICK_OFF": "off",
            "LAKE_URI": str(self.data / "lake"),
            "MODEL_FOLDER": str(self.data / "models"),
            "MAILBOX_DIRECTORY": str(self.directory / "mail"),
            "STRIPE_STANDIN_FILE": str(self.directory / "stripe" / "standin.sqlite"),
        }

    def secret_files(self) -> dict[str, str]:
        """`NAME_FILE` of each secret; one that the operator has not given is made once and kept."""
        return {f"{name}_FILE": str(self._secret_file(name, file)) for name, file in SECRETS.items()}

    @property
    def service_token_file(self) -> Path:
        return self._secret_file("SERVICE_TOKEN", SECRETS["SERVICE_TOKEN"])

    def _secret_file(self, name: str, file: str) -> Path:
        if self.given.get(f"{name}_FILE"):
            return Path(self.given[f"{name}_FILE"]).absolute()
        path = self.directory / "secrets" / file
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        wanted = self.given.get(name)
        if wanted and not (path.exists() and path.read_text("utf-8") == wanted):
            _write_secret(path, wanted)
        elif not path.exists():
            _write_secret(path, _new_secret(name))
        return path


def _new_secret(name: str) -> str:
    beginning = BEGINNINGS.get(name)
    return secrets.token_urlsafe(32) if beginning is None else beginning + secrets.token_hex(24)


def _write_secret(path: Path, value: str) -> None:
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(value)
    unfinished.replace(path)


def without_password(url: str) -> str:
    """The address as it may be shown."""
    scheme, found, rest = url.partition("://")
    if not found:
        return url
    login, at, place = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    return f"{scheme}://{user}{colon and ':***'}{at}{place}"


def _addresses_in_files(environ: Mapping[str, str]) -> dict[str, str]:
    try:
        found = {name: from_environment_or_file(name, environ) for name in MAY_BE_IN_FILES}
    except OSError as error:
        raise RunnerError(f"{error.filename}: {error.strerror}") from error
    return {name: value for name, value in found.items() if value}


def address_of(given: str) -> str:
    """host:port of a database's or Redis' URL; a list of brokers as it is."""
    if "://" not in given:
        return given
    return urlsplit(given).netloc.rpartition("@")[2]


class Document:
    """`site.json`: written anew at every change, whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def write(self, content: Mapping[str, Any]) -> None:
        with self._lock:
            unfinished = self._path.with_suffix(".json.unfinished")
            unfinished.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
            unfinished.replace(self._path)

    def remove(self) -> None:
        with self._lock:
            self._path.unlink(missing_ok=True)


def read_document(site: Site) -> dict[str, Any] | None:
    """The content of `site.json`; None when the site is not up."""
    try:
        content = json.loads(site.document.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None


@dataclass(frozen=True)
class Holder:
    """Who runs a site: the process that holds its lock."""

    pid: int
    started: float

    def lives(self) -> bool:
        now = start_time(self.pid)
        return now is not None and abs(now - self.started) < 1.0


def holder(site: Site) -> Holder | None:
    """Who runs the site now; None when nobody does. Only a process that lives can hold the lock."""
    path = site.directory / "lock"
    try:
        with path.open("r", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                content = file.read()
                return Holder(**json.loads(content)) if content else Holder(0, 0.0)
    except FileNotFoundError:
        pass
    return None


@contextlib.contextmanager
def held(site: Site) -> Iterator[bool]:
    """Hold the site's lock while in the block; False when somebody else has it."""
    site.directory.mkdir(parents=True, exist_ok=True)
    with (site.directory / "lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "started": start_time(os.getpid()) or 0.0}))
        file.flush()
        try:
            yield True
        finally:
            file.truncate(0)
