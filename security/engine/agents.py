"""What a request's headers say about who sends it. Programs are welcome here; they only get less without a name.

A header proves nothing, so nobody is trusted for one. Scanners that say what they are are turned away; the other
signals make a request of somebody unknown count for more (`cost`), so that the challenge comes sooner.
"""

import functools
import re
from dataclasses import dataclass
from typing import Any

AGENT_LONGEST = 512
COST_MAX = 4
_SCANNERS = re.compile(
    r"sqlmap|nikto|nmap|masscan|zgrab|nuclei|wpscan|dirbuster|gobuster|feroxbuster|ffuf|hydra|acunetix|nessus|openvas"
    r"|w3af|arachni|havij|commix|zmeu|jorgee|l9explore|whatweb",
    re.IGNORECASE,
)
_PROGRAMS = re.compile(
    r"curl|wget|httpx|requests|aiohttp|urllib|okhttp|go-http-client|java/|libwww|scrapy|node-fetch|axios|undici|php|ruby"
    r"|headless|phantomjs|puppeteer|playwright|selenium|bot\b|crawler|spider",
    re.IGNORECASE,
)
# What nobody comes by who follows our links: found by guessing, or by looking for somebody else's mistakes.
_TRAPS = re.compile(
    r"\.(?:php[0-9]?|aspx?|jsp|cgi|env|git|svn|bak|sql|old)(?:/|$)|wp-(?:admin|login|content|includes)|phpmyadmin|cgi-bin"
    r"|/\.(?:aws|ssh|htaccess|DS_Store)|/actuator|/etc/passwd|\.\./|/vendor/phpunit|/solr/|/manager/html",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Look:
    """What the headers look like; `signals` say why it costs what it costs."""

    cost: int = 1
    scanner: bool = False
    signals: tuple[str, ...] = ()


def look(environ: Any) -> Look:
    """What is seen in a WSGI environment."""
    return _look(
        environ.get("HTTP_USER_AGENT", "")[:AGENT_LONGEST],
        "HTTP_ACCEPT" in environ,
        "HTTP_ACCEPT_LANGUAGE" in environ,
    )


@functools.lru_cache(maxsize=4096)
def _look(agent: str, accepts: bool, speaks: bool) -> Look:
    if _SCANNERS.search(agent):
        return Look(COST_MAX, True, ("scanner",))
    signals = []
    if not agent:
        signals.append("no_user_agent")
    elif _PROGRAMS.search(agent):
        signals.append("program")
    elif agent.startswith("Mozilla/") and not speaks:
        signals.append("browser_without_language")  # every real one sends it
    if not accepts:
        signals.append("no_accept")
    return Look(min(COST_MAX, 1 + len(signals)), False, tuple(signals))


def is_trap(path: str) -> bool:
    """Whether only somebody who means harm, or is very lost, asks for this path."""
    return _TRAPS.search(path) is not None
