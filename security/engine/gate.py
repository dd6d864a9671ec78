"""The gate of a service: what a request is judged by, put together and asked in one question to Redis.

Behind one address may be one bot or a stadium. So an address may send much (`address`), an account or the bearer of
a pass little (`account`), and those at an address who are neither share a middle measure (`guest`): beyond it they are
not refused but challenged, and a solution makes its sender somebody, with a measure of his own. To hold and to
pay, an account that has not verified its address is a guest as well.
"""

import time
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson
import structlog

from security.engine import agents
from security.engine.addresses import Address, address_of
from security.engine.agents import Look
from security.engine.challenge import PASS_COOKIE, PASS_HEADER, Challenges, Solved
from security.engine.lists import Kind, Lists
from security.engine.rates import Rate, Rates
from security.engine.refusals import DECISIONS, Decision, refusal
from security.engine.rules import Ask, Bucket, Code, Failure, Level, Ruling
from security.engine.settings import GateSettings
from security.engine.store import LocalStore, RedisStore, StoreUnavailable
from security.engine.watch import Watch
from shared import metrics, tracing
from shared.errors import DependencyUnavailable
from shared.http.callers import HEADERS_KEY, Question

log = structlog.get_logger(__name__)

STANDING_KEY = "matchday.standing"
PASS_NAME = "pass:"  # noqa: S105 - what the names of those begin with who have one
# How a request of a class ends when somebody guesses: passwords, cards, others' things, tokens, signatures.
FAILING: dict[str, frozenset[int]] = {
    "read": frozenset({403}),
    "write": frozenset({403}),
    "hold": frozenset({402, 403}),
    "pay": frozenset({402, 403}),
    "sign_in": frozenset({401}),
    "gate": frozenset({403}),
    "webhook": frozenset({400, 401}),
    "internal": frozenset({401}),
}
# Where an account excuses nobody from the challenge before it has verified its address: made in a second, it is worth
# no more than a guest.
FOR_PROVEN = frozenset({"hold", "pay"})
Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Measure:
    """One scope of one class, as the store takes it and as headers tell it."""

    prefix: str
    rate: Rate
    level: Level
    policy: str

    def bucket(self, holder: str, cost: int = 1) -> Bucket:
        rate = self.rate
        return Bucket(self.prefix + holder, rate.interval, rate.capacity, self.level, min(cost, rate.capacity))


@dataclass(frozen=True, slots=True)
class Measures:
    """All scopes of one class."""

    account: Measure | None
    bearer: Measure | None
    guest: Measure | None
    address: Measure | None

    @classmethod
    def of(cls, counted: str, name: str, rates: Rates) -> "Measures":
        def measure(scope: str, rate: Rate | None, level: Level) -> Measure | None:
            if rate is None:
                return None
            policy = f'"{name}";q={rate.capacity};w={rate.window_seconds}'
            return Measure(f"{counted}:{name}:{scope}:", rate, level, policy)

        return cls(
            measure("account", rates.account, Level.LIMIT),
            measure("pass", rates.account, Level.LIMIT),
            measure("guest", rates.guest, Level.CHALLENGE),
            measure("address", rates.address, Level.LIMIT),
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """Who somebody is to the gate; `name` is what marks and failures are kept under."""

    address: Address
    name: str
    account_id: str | None
    pass_id: str | None = None
    solved: Solved | None = None

    @property
    def excused(self) -> bool:
        return self.pass_id is not None

    @property
    def is_guest(self) -> bool:
        return self.account_id is None and self.pass_id is None


class RedisGate:
    """Implements `shared.http.Gate` for one service."""

    def __init__(self, service: str, settings: GateSettings, counted: str = "security") -> None:
        """`counted` names the counters: a proxy that asks, too, must not count a request twice."""
        self._service = service
        self._measures = {name: Measures.of(counted, name, rates) for name, rates in settings.rates().items()}
        self._settings = settings
        self._failure_scale = settings.failure_scale()
        self._refused_alone = settings.refused_classes()
        self.challenges = Challenges(
            settings.service_token, settings.challenge_cost, settings.challenge_tries, settings.challenge_seconds,
            settings.pass_seconds,
        )  # fmt: skip
        self._store = RedisStore(settings.redis_url, settings.redis_seconds_max, settings.audit_entries_max)
        self._local = LocalStore()
        self._watch = Watch(settings.redis_url, settings.redis_seconds_max)
        self._count = _DecisionMetrics()

    def start(self) -> "RedisGate":
        """Reads the lists, and goes on reading them."""
        self._watch.start()
        return self

    def close(self) -> None:
        """Ends the reading, closes connections."""
        self._watch.stop()
        self._store.close()

    @property
    def lists(self) -> Lists:
        """The lists as they were read last."""
        return self._watch.lists

    def check(self, question: Question) -> Sequence[tuple[str, str]]:
        """See `shared.http.Gate`."""
        begun = time.perf_counter()
        try:
            decision, headers = self.decide(question)
        finally:
            metrics.GATE_SECONDS.observe(time.perf_counter() - begun)
        if decision.verdict == "allow":
            return headers
        cast(MutableMapping[str, Any], question.environ)[HEADERS_KEY] = headers
        raise refusal(decision)

    def decide(self, question: Question) -> tuple[Decision, Headers]:
        """What is decided, and the headers that tell of limits. Raises `DependencyUnavailable`."""
        now = time.time()
        standing = self._standing(question, now)
        cast(MutableMapping[str, Any], question.environ)[STANDING_KEY] = standing
        seen = agents.look(question.environ)
        ask, measures = self._ask(question, standing, seen, now)
        ruling = self._rule(question, ask)
        self._count(question.rate_class, ruling.code)
        if question.rate_class == "nowhere" and agents.is_trap(question.environ.get("PATH_INFO", "")):
            self._report([self._trapped(standing)])
        decision = Decision(ruling.code, seen.signals, -(-ruling.wait // 1_000_000))
        return decision, self._headers(ruling, measures, standing, now)

    def tell(self, question: Question, status: int) -> None:
        """See `shared.http.Gate`."""
        standing = question.environ.get(STANDING_KEY)
        if standing is not None and status in FAILING.get(question.rate_class, ()):
            by_pass = standing.account_id is None and standing.pass_id is not None
            self._report([self._failed(question.rate_class, standing.name, by_pass=by_pass)])

    def blame(self, name: str) -> None:
        """Counts a failure that others tell of later, such as a card that was declined elsewhere; see `name_of`."""
        self._report([self._failed(kind, name, by_pass=name.startswith(PASS_NAME)) for kind in sorted(FOR_PROVEN)])

    def _standing(self, question: Question, now: float) -> Standing:
        environ, address = question.environ, address_of(question.address)
        pass_id, solved = None, None
        payload = environ.get("HTTP_X_CHALLENGE_SOLUTION")
        if payload is not None:
            solved = self.challenges.check(payload, address.key, now)
            pass_id = None if solved is None else solved.id
        elif (shown := _pass_of(environ)) is not None:
            pass_id = self.challenges.read_pass(shown, address.key, now)
        account_id = question.account_id
        name = f"@{account_id}" if account_id else f"{PASS_NAME}{pass_id}" if pass_id else address.key
        return Standing(address, name, account_id, pass_id, solved)

    def _ask(self, question: Question, standing: Standing, seen: Look, now: float) -> tuple[Ask, list[Measure]]:
        rate_class = question.rate_class
        known = self._measures[rate_class]
        # Where nobody can be asked to solve anything, only bans count: not even at the place where challenges are got.
        excused = standing.excused or known.guest is None
        verdict, trusted = self._listed(standing, excused, seen, now)
        measures: list[Measure] = []
        buckets: list[Bucket] = []

        def take(measure: Measure | None, holder: str, cost: int = 1) -> None:
            if measure is not None:
                measures.append(measure)
                buckets.append(measure.bucket(holder, cost))

        if standing.account_id is not None:
            take(known.account, standing.account_id)
        if standing.account_id is None or (rate_class in FOR_PROVEN and not question.email_verified):
            if standing.pass_id is not None:
                take(known.bearer, standing.pass_id)
            elif not trusted:
                take(known.guest, standing.address.key, seen.cost)
        if not trusted:
            take(known.address, standing.address.key)
        solved = standing.solved
        ask = Ask(
            _marks(rate_class, standing, trusted),
            buckets,
            excused=excused,
            once=f"security:solved:{solved.id}" if solved else "",
            once_ms=self.challenges.seconds * 1000,
            always=rate_class not in ("read", "internal") or solved is not None,
            note=self._note(question, standing, seen),
            verdict=verdict,
        )
        return ask, measures

    def _listed(self, standing: Standing, excused: bool, seen: Look, now: float) -> tuple[Code, bool]:
        """What is known before Redis is asked; and whether the address is on the allow list."""
        lists = self._watch.lists
        entry = lists.of_address(standing.address, now)
        own = lists.of_account(standing.account_id, now) if standing.account_id else None
        if own is not None and own.kind is Kind.BLOCK:
            return Code.LISTED, False
        if entry is not None and entry.kind is Kind.ALLOW:
            return Code.ALLOWED, True
        if entry is not None and entry.kind is Kind.BLOCK:
            return Code.LISTED, False
        if seen.scanner:
            return Code.SCANNER, False
        if any(each is not None and each.kind is Kind.CHALLENGE for each in (entry, own)) and not excused:
            return Code.LISTED_SUSPECT, False
        return Code.ALLOWED, False

    def _rule(self, question: Question, ask: Ask) -> Ruling:
        if not self._watch.alone:
            try:
                return self._store.decide(ask)
            except StoreUnavailable as error:
                self._watch.lost(str(error))
        if question.rate_class in self._refused_alone:
            raise DependencyUnavailable("this cannot be checked at present; come again")
        return self._local.decide(ask)

    def _report(self, failures: Sequence[Failure]) -> None:
        if not self._watch.alone:
            try:
                return self._store.report(failures)
            except StoreUnavailable as error:
                self._watch.lost(str(error))
        return self._local.report(failures)

    def _failed(self, rate_class: str, name: str, *, by_pass: bool) -> Failure:
        settings, scale = self._settings, self._failure_scale
        # Who holds a pass has been challenged already, so that what would bring the challenge ends the pass.
        borne = settings.failures_mark if by_pass else settings.failures_ban
        return self._failure(rate_class, name, round(settings.failures_mark * scale), round(borne * scale))

    def _trapped(self, standing: Standing) -> Failure:
        borne = round(self._failure_scale)
        return self._failure("all", standing.name, max(0, borne - 1), max(1, self._settings.failures_mark * borne))

    def _failure(self, kind: str, name: str, soft: int, hard: int) -> Failure:
        settings = self._settings
        return Failure(
            f"security:failures:{kind}:{name}",
            f"security:mark:{kind}:{name}",
            round(settings.failures_forgotten_seconds * 1_000_000),
            soft,
            hard,
            round(settings.mark_seconds * 1000),
            round(settings.ban_seconds * 1000),
        )

    def _note(self, question: Question, standing: Standing, seen: Look) -> bytes:
        return orjson.dumps(
            (
                self._service, question.rate_class, question.method, question.route, question.address,
                standing.address.key, question.account_id, standing.pass_id, seen.signals, tracing.request_id(),
            )
        )  # fmt: skip

    def _headers(self, ruling: Ruling, measures: list[Measure], standing: Standing, now: float) -> Headers:
        headers: Headers = []
        if measures and ruling.code in (Code.ALLOWED, Code.SUSPECT, Code.LIMITED):
            policy = measures[ruling.bucket].policy
            name = policy.partition(";")[0]
            headers.append(("RateLimit-Policy", policy))
            headers.append(("RateLimit", f"{name};r={ruling.left};t={-(-ruling.reset // 1_000_000)}"))
        if standing.solved is not None and ruling.code is Code.ALLOWED:
            text = self.challenges.give_pass(standing.solved, standing.address.key, now)
            headers.append((PASS_HEADER, text))
            secure = "; Secure" if self._settings.environment == "prod" else ""
            attributes = f"Path=/; Max-Age={self.challenges.pass_seconds}; HttpOnly; SameSite=Lax{secure}"
            headers.append(("Set-Cookie", f"{PASS_COOKIE}={text}; {attributes}"))
        return headers


def name_of(environ: Any) -> str | None:
    """Under which name failures of whoever sent a request are counted; None when the gate was not asked about it."""
    standing = environ.get(STANDING_KEY)
    return standing.name if isinstance(standing, Standing) else None


def _marks(rate_class: str, standing: Standing, trusted: bool) -> list[str]:
    if standing.is_guest and trusted:
        return []
    return [f"security:mark:{rate_class}:{standing.name}", f"security:mark:all:{standing.name}"]


def _pass_of(environ: Any) -> str | None:
    shown: str | None = environ.get("HTTP_X_CHALLENGE_PASS")
    if shown is not None:
        return shown
    cookies = environ.get("HTTP_COOKIE")
    if cookies is None or PASS_COOKIE not in cookies:
        return None
    for part in cookies.split(";"):
        name, _, value = part.strip().partition("=")
        if name == PASS_COOKIE:
            return str(value)
    return None


class _DecisionMetrics:
    """Counts decisions; looks each label combination up once."""

    def __init__(self) -> None:
        self._children: dict[tuple[str, Code], Any] = {}

    def __call__(self, rate_class: str, code: Code) -> None:
        child = self._children.get((rate_class, code))
        if child is None:
            verdict, reason = DECISIONS[code]
            child = metrics.GATE_DECISIONS.labels(rate_class, verdict, reason)
            self._children[(rate_class, code)] = child
        child.inc()
