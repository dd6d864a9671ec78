"""Environment variables that no settings class reads: of `matchday` itself, the demo and the tests.

A test compares them with what the code asks the environment for.
"""

from typing import NamedTuple

from matchday.broker_setup import DEFAULT_MASTERLIST
from matchday.runner import SERVER_PORTS
from matchday.site import PORT_OFFSET_MAX


class ByHand(NamedTuple):
    """A variable that no settings class reads."""

    name: str
    form: str
    default: str
    meaning: str


RUNNER = (
    ByHand(
        "SITE",
        "1 to 32 letters, digits, `.`, `_` or `-`, beginning with a letter or digit; not `tests`",
        "`matchday`",
        "Which site of this machine; names its folder below `var/`, and its `CLIENT_ID` unless that is set.",
    ),
    ByHand("PORT_OFFSET", f"whole number, 0 to {PORT_OFFSET_MAX}", "`0`", "Added to every port of the site."),
    ByHand("DETACH", "`1`", "stay", "`up` returns when the site is up; `make down` stops it."),
    ByHand(
        "DATABASE_URL",
        "as below",
        f"own server, port {SERVER_PORTS['postgres']} + `PORT_OFFSET`",
        "A PostgreSQL of yours is used, and its database made when it is missing; none is started.",
    ),
    ByHand(
        "KAFKA_BOOTSTRAP_SERVERS",
        "as below",
        f"own broker, port {SERVER_PORTS['kafka']} + `PORT_OFFSET`",
        "A broker of yours, or of another site, is used; none is started.",
    ),
    ByHand(
        "REDIS_URL",
        "`redis://host:port/number`",
        f"own Valkey, port {SERVER_PORTS['valkey']} + `PORT_OFFSET`",
        "A Redis of yours; none is started.",
    ),
    ByHand(
        "SMTP_URL",
        "as below",
        "own mailbox, port 11025 + `PORT_OFFSET`",
        "A mail server of yours; no mailbox is started, and mail leaves this machine.",
    ),
    ByHand(
        "MAILBOX_SMTP_PORT",
        "port",
        "11025 + `PORT_OFFSET`; `up` gives it",
        "Where the mailbox takes mail. Its page is on 18025 + `PORT_OFFSET`.",
    ),
    ByHand(
        "STRIPE_API_BASE",
        "as below",
        "own stand-in, port 12111 + `PORT_OFFSET`",
        "`https://api.stripe.com`, with your keys: no stand-in is started, and money moves.",
    ),
    ByHand("MAILBOX_DIRECTORY", "path of a folder", "`mail` in the site's folder", "Where the mailbox keeps mail."),
    ByHand(
        "MASTERLIST",
        "path of a JSON file, or `world-cup-2022` or `small`",
        f"`{DEFAULT_MASTERLIST}`",
        "What an organiser's `up` publishes when the master list topic is empty.",
    ),
    ByHand(
        "ORGANISER",
        "`yes` or `no`",
        "`yes` when every broker is on this machine",
        "Whether this site may fill an empty master list topic.",
    ),
    ByHand("MATCHDAY_VAR", "path of a folder", "`var` in the checkout", "Where sites keep state, logs and data."),
    ByHand(
        "MATCHDAY_CACHE",
        "path of a folder",
        "`$XDG_CACHE_HOME/matchday` or `~/.cache/matchday`; on macOS `~/Library/Caches/matchday`",
        "Where Kafka's jars are kept, for all checkouts of a user.",
    ),
    ByHand(
        "MATCHDAY_PYTHON",
        "name or path of a Python 3.11 or newer",
        "the first found",
        "The Python that `.venv` is made with.",
    ),
)
DEMO = (
    ByHand("DEMO_SECONDS", "whole number, 1 to 86400", "`60`", "How long the demo sells before its audit."),
    ByHand("DEMO_SITES", "whole number, 1 to 3", "`2`", "How many sites of ours take part."),
    ByHand("DEMO_SEED", "whole number", "`2022`", "Another one brings other buyers."),
)
TESTS = (
    ByHand("INFRA", "`containers`", "servers from wheels", "The tests' servers come from a container engine."),
    ByHand("KEEP_TEST_FILES", "`1`", "deleted", "Data and logs of the tests' servers and sites stay in `var/tests`."),
    ByHand("BROWSER_PATH", "name or path of a program", "the first found", "Chromium, for the tests of the pages."),
    ByHand("HYPOTHESIS_PROFILE", "`repeatable` or `explore`", "`repeatable`", "Same examples each run, or new ones."),
    ByHand("PURCHASE_RUNS", "whole number", "`200`", "How many purchases are made while processes are killed."),
    ByHand("PURCHASE_SEED", "whole number", "`1`", "What they want and what is killed when: replays a failure."),
    ByHand("STORM_ROUNDS", "whole number", "`2`", "How often each server is killed while tickets are sold."),
    ByHand("STORM_SEED", "whole number", "`1`", "When, and what buyers want meanwhile: replays a failure."),
    ByHand("RESALE_RUNS", "whole number", "`56`", "How many tickets are sold again while processes are killed."),
    ByHand("RESALE_SEED", "whole number", "`1`", "Who wants what then, and what is killed when."),
    ByHand("LAKE_SEED", "whole number", "`1`", "What is sent, and when its writer is killed: replays a failure."),
    ByHand("RACE_SEED", "whole number", "", "The race runs this seed alone: replays a failure."),
    ByHand("RACE_SEEDS", "whole number", "`2`", "How many seeds the race runs."),
    ByHand(
        "RELAY_FAULT",
        "`step:nth:signal`",
        "none",
        "Where the relay that a test runs is killed or paused; set by the test.",
    ),
    ByHand("RELAY_SEED", "whole number", "`1`", "The moments at which the relay is hit: replays a failure."),
)
