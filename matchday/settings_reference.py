"""`python -m matchday.settings_reference > docs/settings.md`: every environment variable, from the code that reads it.

What a process takes is told by its settings class; the form of a value, where a rule of ours checks it, in the words
with which the process itself would refuse a wrong one. Variables that no settings class reads are listed in
`settings_by_hand.py`.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from analytics.recommender.settings import ModelSettings, ServingSettings
from analytics.recommender.trainer_settings import TrainerSettings
from analytics.settings import AnalyticsSettings, LakeCommandSettings, LakeSettings
from analytics.settings import WriterSettings as LakeWriterSettings
from client.settings import ClientSettings
from matchday.processes import PROCESSES
from matchday.settings_by_hand import DEMO, RUNNER, TESTS, ByHand
from matchday.site import SECRETS
from matchday.stripe_standin.settings import StandinSettings
from payments.settings import PaymentsSettings as OwnPaymentsSettings
from payments.settings import SiteSettings, StripeSettings
from payments.settings import WorkerSettings as PaymentsWorkerSettings
from reservations.settings import (
    HoldSettings,
    PaymentsSettings,
    ResaleSettings,
    ReservationsSettings,
    TicketSettings,
    WorkerSettings,
)
from reservations.waiting_room.settings import WaitingRoomSettings
from security.engine.settings import GateSettings
from security.settings import SecuritySettings
from shared.settings import (
    AuditSettings,
    CommonSettings,
    Concealed,
    DatabaseSettings,
    HttpSettings,
    IdentitySettings,
    KafkaSettings,
    MailSettings,
    PseudonymSettings,
    Settings,
    SiteEventsSettings,
    TopicSettings,
    VisitorSettings,
)
from shop.inventory.settings import InventorySettings
from shop.recommendations.settings import RecommendationSettings
from shop.settings import ShopSettings
from shop_consumer.settings import ConsumerSettings
from users.settings import KeySettings, UsersSettings, UsersWorkerSettings

SETTINGS_OF: Mapping[str, type[Settings]] = {
    "shop": ShopSettings,
    "shop-consumer": ConsumerSettings,
    "users": UsersSettings,
    "users-worker": UsersWorkerSettings,
    "security": SecuritySettings,
    "reservations": ReservationsSettings,
    "reservations-relay": InventorySettings,
    "reservations-worker": WorkerSettings,
    "payments": OwnPaymentsSettings,
    "payments-worker": PaymentsWorkerSettings,
    "analytics": AnalyticsSettings,
    "analytics-writer": LakeWriterSettings,
    "analytics-trainer": TrainerSettings,
    "client": ClientSettings,
}
STAND_IN_SETTINGS: Mapping[str, type[Settings]] = {"stripe-standin": StandinSettings}
COMMAND_SETTINGS: Mapping[str, type[Settings]] = {
    "matchday.broker_setup": TopicSettings,
    "analytics.generator": LakeCommandSettings,
    "analytics.spark": LakeCommandSettings,
}
# Each class is a section; a variable stands in the first that has it.
SECTIONS: tuple[tuple[type[Settings], str, str], ...] = (
    (CommonSettings, "Who we are", ""),
    (DatabaseSettings, "PostgreSQL", "One database a site. Every wait for it has an end."),
    (KafkaSettings, "Kafka", "The broker and the two topics."),
    (
        InventorySettings,
        "The federation's rules",
        "`LOG_HOLD_SECONDS` and `QUANTITY_MAX` must be the same at every site: verdicts follow from them.",
    ),
    (HttpSettings, "HTTP", "Of each process that answers HTTP."),
    (IdentitySettings, "Who is signed in", ""),
    (MailSettings, "Mail", ""),
    (AuditSettings, "The log of what admins change", ""),
    (PseudonymSettings, "Pseudonyms", ""),
    (
        SiteEventsSettings,
        "Events of this site",
        "What services tell their own analytics; see [analytics.md](analytics.md).",
    ),
    (TopicSettings, "Topics", "Of the command that makes them, `python -m matchday.broker_setup`, which `up` runs."),
    (VisitorSettings, "Where visitors are from", "Beside the account's profile and the browser's language."),
    (GateSettings, "The gate", "Of each process that answers HTTP: what every request is asked about first."),
    (SecuritySettings, "Security", ""),
    (KeySettings, "Keys of accounts", "`USERS_SECRET` must be the same in `users` and its worker."),
    (UsersSettings, "Accounts", ""),
    (UsersWorkerSettings, "The accounts' worker", ""),
    (ShopSettings, "The shop", ""),
    (ConsumerSettings, "The consumer", ""),
    (ResaleSettings, "Resale", "Tickets that are sold again; see [resale.md](resale.md)."),
    (HoldSettings, "Holds of this site's buyers", "`HOLD_SECONDS` must be below `LOG_HOLD_SECONDS`."),
    (TicketSettings, "Tickets", ""),
    (PaymentsSettings, "The way to payments", ""),
    (WaitingRoomSettings, "Waiting rooms", "How they work is in [waiting-room.md](waiting-room.md)."),
    (ReservationsSettings, "Reservations", ""),
    (WorkerSettings, "The reservations' worker", ""),
    (
        StripeSettings,
        "Stripe",
        "In development a stand-in is Stripe ([stripe-standin.md](stripe-standin.md)). For Stripe itself set"
        " `STRIPE_API_BASE=https://api.stripe.com`, your `STRIPE_SECRET_KEY`, and the `STRIPE_WEBHOOK_SECRET` of an"
        " endpoint that leads to `/api/payments/webhook`; the stand-in is then not started.",
    ),
    (SiteSettings, "Payments and its worker", ""),
    (OwnPaymentsSettings, "Payments", ""),
    (PaymentsWorkerSettings, "The payments' worker", ""),
    (LakeSettings, "The data lake", "What it is and how to read it is in [analytics.md](analytics.md)."),
    (LakeWriterSettings, "The lake's writer", ""),
    (LakeCommandSettings, "Commands on the lake", ""),
    (ModelSettings, "Recommendations", "How they are made is in [analytics.md](analytics.md)."),
    (RecommendationSettings, "Recommendations in the shop", ""),
    (ServingSettings, "Recommendations in analytics", ""),
    (TrainerSettings, "The recommendations' trainer", ""),
    (AnalyticsSettings, "Analytics", ""),
    (
        ClientSettings,
        "The pages",
        "With Stripe itself give `STRIPE_PUBLISHABLE_KEY`. What stands for Stripe must be reachable by browsers, at"
        " `STRIPE_JS_URL` and `PAYMENT_PAGE_URL`.",
    ),
    (StandinSettings, "The Stripe stand-in", "Its state; `up` chooses a file in the site's folder."),
)
# The code says the form where a meaning is wanted.
MEANINGS = {
    "DATABASE_URL": "The site's database.",
    "KAFKA_BOOTSTRAP_SERVERS": "Some of the cluster's brokers.",
    "REDIS_URL": "The site's Redis: rate limits, lists, challenges.",
}
SERVERS = {"DATABASE_URL", "REDIS_URL", "KAFKA_BOOTSTRAP_SERVERS", "SMTP_URL"}
MADE_BY_UP = {
    *SERVERS,
    "HOST",
    "PORT",
    "SHOP_URL",
    "SHOP_CONSUMER_URL",
    "USERS_URL",
    "SECURITY_URL",
    "RESERVATIONS_URL",
    "PAYMENTS_URL",
    "ANALYTICS_URL",
    "STRIPE_API_BASE",
    "STRIPE_STANDIN_FILE",
    "PUBLIC_URL",
    "COOKIES_SECURE",
    "LAKE_URI",
    "MODEL_FOLDER",
    "RECOMMENDATIONS_END_AT_KICK_OFF",
    "RESALE_ENDS_AT_KICK_OFF",
    *SECRETS,
}
NO_ONE_TAKES_THIS = "!"
HEAD = """\
# Settings

<!-- Made by `python -m matchday.settings_reference`; change the code, not this page. -->

Settings are environment variables, read once at start. A process that finds one wrong says its name, what was given
and what is expected, on stderr, and ends with exit code 2; the values of secrets are never printed. An empty variable
counts as not set. A secret `X`, or an address that may bear a password, may also be given as `X_FILE`, the path of a
file that holds it.

`make up` hands whatever you set to every process of the site, so `make up HOLD_SECONDS=120` is all it takes. What is
marked "`up` gives it" below is found by `make up` itself; who starts processes in another way sets it.

The process names are those of `matchday status`.
"""


@dataclass(frozen=True)
class Variable:
    """One environment variable that settings classes read."""

    name: str
    form: str
    default: str
    meaning: str
    processes: tuple[str, ...]


def variables() -> list[tuple[str, str, list[Variable]]]:
    """The sections: title, a sentence, and the variables."""
    seen: set[str] = set()
    sections = []
    for settings, title, about in SECTIONS:
        fields = [name for name in settings.model_fields if name not in seen]
        seen.update(fields)
        if fields:
            sections.append((title, about, [_variable(settings, name) for name in fields]))
    return sections


def _variable(settings: type[Settings], name: str) -> Variable:
    schema = settings.model_json_schema()["properties"][name]
    processes = tuple(
        process
        for process, used in {**SETTINGS_OF, **STAND_IN_SETTINGS, **COMMAND_SETTINGS}.items()
        if name in used.model_fields
    )
    meaning = MEANINGS.get(name.upper(), schema.get("description", ""))
    return Variable(name.upper(), _form(settings, name, schema), _default(name, schema), meaning, processes)


def _form(settings: type[Settings], name: str, schema: Mapping[str, Any]) -> str:
    schema = next((option for option in schema.get("anyOf", ()) if option["type"] != "null"), schema)
    if "enum" in schema:
        *others, last = [f"`{value}`" for value in schema["enum"]]
        return f"{', '.join(others)} or {last}"
    if schema.get("format") == "password":
        least = f" of {schema['minLength']} characters or more" if "minLength" in schema else ""
        return f"secret{least}; or `{name.upper()}_FILE`"
    if schema.get("format") == "path":
        return "path of a file"
    if schema["type"] in ("integer", "number"):
        return _range("whole number" if schema["type"] == "integer" else "number", schema)
    if "pattern" in schema:
        return f"text like `{schema['pattern']}`"
    concealed = any(isinstance(mark, Concealed) for mark in settings.model_fields[name].metadata)
    return _own_words(settings, name) + (f"; or `{name.upper()}_FILE`" if concealed else "")


def _range(kind: str, schema: Mapping[str, Any]) -> str:
    least = f"from {schema['minimum']:g}" if "minimum" in schema else f"above {schema['exclusiveMinimum']:g}"
    return f"{kind}, {least} to {_plain(schema['maximum'])}"


def _plain(value: Any) -> Any:
    """5.0 is written as 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _own_words(settings: type[Settings], name: str) -> str:
    """What the process says is expected, asked by giving it something wrong."""
    try:
        settings.model_validate({name: NO_ONE_TAKES_THIS})
    except ValidationError as error:
        for problem in error.errors():
            if problem["loc"] == (name,):
                return str(problem["msg"]).removeprefix("Value error, ")
    return "text"


def _default(name: str, schema: Mapping[str, Any]) -> str:
    if name.upper() in MADE_BY_UP:
        return "`up` gives it" if "default" not in schema else f"`{schema['default']}`; `up` gives it"
    if name.startswith("topic_"):
        example = KafkaSettings.model_construct(environment="{ENVIRONMENT}", client_id="{CLIENT_ID}")
        return f"`{getattr(example, name.removeprefix('topic_').removeprefix('ticket_') + '_topic')}`"
    if name == "client_id":
        return "`matchday`; `up` gives `SITE`"
    default = schema.get("default")
    return "none" if default in (None, "") else f"`{_plain(default)}`"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _tables(title: str, about: str, listed: tuple[ByHand, ...]) -> Iterator[str]:
    yield f"\n## {title}\n\n{about}\n"
    yield _row("variable", "form", "default", "meaning")
    yield _row("---", "---", "---", "---")
    yield from (_row(f"`{name}`", form, default, meaning) for name, form, default, meaning in listed)


def _used_by(processes: tuple[str, ...]) -> str:
    return "all" if len(processes) == len(PROCESSES) else ", ".join(processes)


def lines() -> Iterator[str]:
    """The page."""
    yield HEAD.rstrip("\n")
    yield from _tables("The runner", "Read by `make up`, `make down` and the `matchday` command.", RUNNER)
    for title, about, listed in variables():
        yield f"\n## {title}\n" + (f"\n{about}\n" if about else "")
        yield _row("variable", "form", "default", "meaning", "read by")
        yield _row("---", "---", "---", "---", "---")
        for each in listed:
            yield _row(f"`{each.name}`", each.form, each.default, each.meaning, _used_by(each.processes))
    yield from _tables("The demo", "Read by `make demo`.", DEMO)
    yield from _tables("The tests", "Read by `make test`.", TESTS)
    yield (
        "\nThe runner also hands `SITE`, and as `MATCHDAY_RUN` a random name of the run, to every process it starts;"
        "\nthe latter is how a later `make down` finds what a killed run left behind."
    )


def page() -> str:
    return "\n".join(lines()) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
