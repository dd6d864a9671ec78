"""The WSGI app: who asks, faults, idempotency keys, and which operation a request is."""

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from matchday.stripe_standin import charges, hosted, intents, methods, pages, refunds
from matchday.stripe_standin.call import API_VERSION, Call, new_id, shown
from matchday.stripe_standin.errors import StripeError, invalid, missing
from matchday.stripe_standin.faults import Fault, Faults, LetGo, WebhookOrder
from matchday.stripe_standin.form import Params, decode, whole
from matchday.stripe_standin.settings import StandinSettings
from matchday.stripe_standin.store import Object, Page, Store
from matchday.stripe_standin.webhooks import Webhooks

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = structlog.get_logger(__name__)

BODY_BYTES_MAX = 1_000_000
KEY_LONGEST = 255
PAGE_MAX = 100
EXPAND_MAX = 4
WEBHOOK_PATH = "/api/payments/webhook"
Operation = Callable[..., Object]
M = TypeVar("M", bound=BaseModel)
ID = r"([A-Za-z]+_\w+)"
OPERATIONS: list[tuple[str, re.Pattern[str], Operation, bool]] = [
    # method, path, operation, whether a publishable key will do
    ("POST", re.compile(r"/v1/payment_intents"), intents.create, False),
    ("GET", re.compile(rf"/v1/payment_intents/{ID}"), intents.retrieve, True),
    ("POST", re.compile(rf"/v1/payment_intents/{ID}"), intents.update, False),
    ("POST", re.compile(rf"/v1/payment_intents/{ID}/confirm"), intents.confirm, True),
    ("POST", re.compile(rf"/v1/payment_intents/{ID}/cancel"), intents.cancel, False),
    ("POST", re.compile(r"/v1/payment_methods"), methods.create, True),
    ("GET", re.compile(rf"/v1/payment_methods/{ID}"), methods.retrieve, False),
    ("POST", re.compile(r"/v1/refunds"), refunds.create, False),
    ("GET", re.compile(rf"/v1/refunds/{ID}"), refunds.retrieve, False),
    ("GET", re.compile(rf"/v1/charges/{ID}"), charges.retrieve, False),
]
LISTS = {
    "/v1/payment_intents": "payment_intent",
    "/v1/refunds": "refund",
    "/v1/charges": "charge",
    "/v1/events": "event",
}
_EVENT = re.compile(rf"/v1/events/{ID}")
_AUTHENTICATE = re.compile(rf"/standin/authenticate/{ID}")
_SEND = re.compile(rf"/standin/events/{ID}/send")


class Answer(BaseModel):
    """What goes out."""

    status: int
    body: str
    content_type: str = "application/json"
    headers: list[tuple[str, str]] = []


class Standin:
    """The app; `shared.serve` runs it."""

    def __init__(self, settings: StandinSettings) -> None:
        self._secret_key = settings.stripe_secret_key.get_secret_value()
        self._refund_seconds = settings.stripe_standin_refund_seconds
        self._base = f"http://{settings.host}:{settings.port}"
        self.store = Store(settings.stripe_standin_file)
        self.faults = Faults()
        webhook = settings.payments_url + WEBHOOK_PATH if settings.payments_url else ""
        self.webhooks = Webhooks(self.store, webhook, settings.stripe_webhook_secret.get_secret_value())
        self.webhooks.settle = self._settle
        self.webhooks.start()

    def stop(self) -> None:
        self.webhooks.stop()

    def end(self) -> None:
        self.webhooks.join(15)
        self.store.close()

    def _settle(self) -> None:
        with self.store.transaction():
            refunds.settle_due(self._call({}, new_id("req"), None, secret=True))

    def _call(self, params: Params, request_id: str, key: str | None, *, secret: bool) -> Call:
        return Call(
            self.store, self.webhooks, params, request_id, key, secret, self._base, self._refund_seconds
        )  # fmt: skip

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        request_id = new_id("req", 14)
        try:
            answer = self._answer(environ, request_id)
        except StripeError as error:
            answer = _error(error)
        except Exception:
            log.exception("unexpected_error")
            answer = _error(StripeError(500, "api_error", "The stand-in failed unexpectedly."))
        body = answer.body.encode()
        log.info("request", method=environ["REQUEST_METHOD"], path=environ["PATH_INFO"], status=answer.status)
        headers = [
            ("Content-Type", answer.content_type),
            ("Content-Length", str(len(body))),
            ("Request-Id", request_id),
            ("Stripe-Version", API_VERSION),
            ("Access-Control-Allow-Origin", "*"),
            ("Access-Control-Allow-Headers", "authorization, content-type, idempotency-key, stripe-version"),
            ("Cache-Control", "no-store"),
            *answer.headers,
        ]
        start_response(f"{answer.status} -", headers)
        return [body]

    def _answer(self, environ: "WSGIEnvironment", request_id: str) -> Answer:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if method == "OPTIONS":
            return Answer(status=204, body="")
        if path in ("/health/ready", "/health/live"):
            return Answer(status=200, body='{"ready": true}')
        if path.startswith("/standin/"):
            return self._control(method, path, environ, request_id)
        fault = self.faults.take(method, path)
        if fault is None:
            return self._api(method, path, environ, request_id, None)
        answer = self._fault(fault, method, path, environ, request_id)
        time.sleep(fault.hang_seconds)
        return answer

    def _fault(self, fault: Fault, method: str, path: str, environ: "WSGIEnvironment", request_id: str) -> Answer:
        wrong = _error(StripeError(fault.status, "api_error", "A fault that was ordered."))
        if fault.when == "after" or (fault.saved and environ.get("HTTP_IDEMPOTENCY_KEY")):
            self._api(method, path, environ, request_id, fault)
        return wrong

    # Stripe's API

    def _api(self, method: str, path: str, environ: "WSGIEnvironment", request_id: str, fault: Fault | None) -> Answer:
        secret = self._authenticate(environ)
        raw = _read(environ) if method == "POST" else environ.get("QUERY_STRING", "")
        params = decode(raw)
        key = environ.get("HTTP_IDEMPOTENCY_KEY") if method == "POST" else None
        if key is not None and len(key) > KEY_LONGEST:
            raise invalid("Idempotency keys are at most 255 characters long.")
        call = self._call(params, request_id, key, secret=secret)
        with self.store.transaction():
            if key is None:
                return self._work(call, method, path)
            return self._once(call, key, method, path, raw, fault)

    def _authenticate(self, environ: "WSGIEnvironment") -> bool:
        """True for the secret key, False for a publishable one."""
        scheme, _, given = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() == "basic":
            given = base64.b64decode(given + "==").decode("latin-1").partition(":")[0]
        if not given:
            raise invalid(
                "You did not provide an API key. You need to provide it as Authorization: Bearer.", status=401
            )
        if given == self._secret_key:
            return True
        if given.startswith("pk_test_"):
            return False
        raise invalid(f"Invalid API Key provided: {given[:8]}****", status=401)

    def _once(self, call: Call, key: str, method: str, path: str, raw: str, fault: Fault | None) -> Answer:
        # A digest, since the parameters may hold a card's number.
        request = hashlib.sha256(f"{method} {path}\n{raw}".encode()).hexdigest()
        known = self.store.answered(key)
        if known is not None:
            if known[0] != request:
                raise StripeError(
                    400,
                    "idempotency_error",
                    "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                    f"Try using a key other than '{key}' if you meant to execute a different request.",
                )
            return Answer(status=known[1], body=known[2], headers=[("Idempotent-Replayed", "true")])
        if fault is not None and fault.when == "before":
            answer = _error(StripeError(fault.status, "api_error", "A fault that was ordered."))
        else:
            answer = self._work(call, method, path)
        if fault is not None and fault.saved:
            answer = _error(StripeError(fault.status, "api_error", "A fault that was ordered."))
        self.store.keep_answer(key, request, answer.status, answer.body)
        return answer

    def _work(self, call: Call, method: str, path: str) -> Answer:
        """Does it. A card that declines is an answer too, and what it changed stays."""
        try:
            return _json(self._expand(call, self._operate(call, method, path)))
        except StripeError as error:
            if not error.saved:
                raise
            return _error(error)

    def _operate(self, call: Call, method: str, path: str) -> Object:
        if method == "GET" and path in LISTS and call.secret:
            return _list(call, path, LISTS[path])
        if method == "GET" and path == "/v1/balance" and call.secret:
            return {"object": "balance", "available": [], "pending": [], "livemode": False}
        if method == "GET" and call.secret and (event := _EVENT.fullmatch(path)):
            return call.get("event", event[1])
        for wanted, pattern, operation, publishable in OPERATIONS:
            found = pattern.fullmatch(path) if wanted == method else None
            if found:
                if not call.secret and not publishable:
                    raise invalid("This API call cannot be made with a publishable API key.", status=403)
                return operation(call, *found.groups())
        raise invalid(f"Unrecognized request URL ({method}: {path}).", status=404)

    def _expand(self, call: Call, answer: Object) -> Object:
        for wanted in list(call.params.get("expand") or [])[:PAGE_MAX]:
            path = str(wanted).split(".")
            if len(path) > EXPAND_MAX:
                raise invalid("You cannot expand more than 4 levels of a property.", param="expand")
            targets = answer["data"] if path[0] == "data" and answer.get("object") == "list" else [answer]
            for target in targets:
                self._expand_one(target, path[1:] if path[0] == "data" else path)
        return answer

    def _expand_one(self, target: Object, path: list[str]) -> None:
        for name in path:
            if name not in target:
                raise invalid(f"This property cannot be expanded ({name}).", param="expand")
            if isinstance(target[name], str):
                target[name] = self.store.any(target[name])
            if not isinstance(target[name], dict):
                return
            target = target[name]

    # What Stripe does not have

    def _control(self, method: str, path: str, environ: "WSGIEnvironment", request_id: str) -> Answer:
        if path in pages.FILES and method == "GET":
            content_type, body = pages.FILES[path]
            return Answer(status=200, body=body, content_type=content_type)
        if path == hosted.PATH:
            return self._hosted(method, environ, request_id)
        if found := _AUTHENTICATE.fullmatch(path):
            return self._challenge(method, found[1], environ, request_id)
        if not self._authenticate(environ):
            raise invalid("This needs the secret key.", status=403)
        if method == "POST" and path == "/standin/faults":
            self.faults.order(_parsed(Fault, _read(environ)))
        elif method == "DELETE" and path == "/standin/faults":
            self.faults.clear()
        elif method == "POST" and path == "/standin/webhooks":
            self._order_webhooks(_parsed(WebhookOrder, _read(environ)))
        elif method == "POST" and path == "/standin/webhooks/release":
            return self._let_go(_parsed(LetGo, _read(environ)))
        elif method == "POST" and (found := _SEND.fullmatch(path)):
            with self.store.transaction():
                if self.store.find("event", found[1]) is None:
                    raise missing("event", found[1])
                self.webhooks.again(found[1])
        elif method == "GET" and path == "/standin/webhooks":
            return self._told()
        else:
            raise invalid(f"Unrecognized request URL ({method}: {path}).", status=404)
        return Answer(status=200, body="{}")

    def _order_webhooks(self, order: WebhookOrder) -> None:
        if order.held is not None:
            self.webhooks.held = order.held
        if order.copies is not None:
            self.webhooks.copies = order.copies
        if order.delay_seconds is not None:
            self.webhooks.delay_seconds = order.delay_seconds

    def _let_go(self, order: LetGo) -> Answer:
        with self.store.transaction():
            return _json({"sent": self.webhooks.let_go(order.order, order.copies)})

    def _told(self) -> Answer:
        """How the posts of events stand: open ones, held ones, and the answers of the last hundred."""
        with self.store.transaction():
            rows = self.store.sql.execute(
                "SELECT event, attempts, held, done, status FROM webhooks ORDER BY id DESC LIMIT 100"
            ).fetchall()
        names = ("event", "attempts", "held", "done", "status")
        return _json({"items": [dict(zip(names, row, strict=True)) for row in rows]})

    def _hosted(self, method: str, environ: "WSGIEnvironment", request_id: str) -> Answer:
        given = decode(environ.get("QUERY_STRING", "") if method == "GET" else _read(environ))
        wrong, target = "", None
        call = self._call(hosted.params_of(given, str(given.get("return_url", ""))), request_id, None, secret=True)
        with self.store.transaction():
            if method == "POST":
                target, wrong = hosted.pay(call, given)
            intent = hosted.intent_of(call, str(given.get("client_secret", "")))
        if target is not None:
            return Answer(status=303, body="", headers=[("Location", target)])
        return Answer(status=200, body=hosted.page(intent, given, wrong), content_type=pages.HTML)

    def _challenge(self, method: str, intent_id: str, environ: "WSGIEnvironment", request_id: str) -> Answer:
        query = decode(environ.get("QUERY_STRING", ""))
        challenge = str(query.get("challenge", ""))
        if method == "GET":
            with self.store.transaction():
                intent = self.store.find("payment_intent", intent_id)
            return Answer(status=200, body=pages.challenge(intent, challenge), content_type=pages.HTML)
        passed = decode(_read(environ)).get("outcome") == "complete"
        call = self._call({}, request_id, None, secret=True)
        with self.store.transaction():
            intent = intents.answer_challenge(call, intent_id, challenge, passed)
        target = pages.way_back(intent)
        if target is None:
            return Answer(status=200, body=pages.challenged(intent), content_type=pages.HTML)
        return Answer(status=303, body="", headers=[("Location", target)])


def _list(call: Call, path: str, kind: str) -> Object:
    params = call.params
    limit = whole(params, "limit", 10) or 0
    if not 1 <= limit <= PAGE_MAX:
        raise invalid("Invalid integer: limit must be between 1 and 100", param="limit")
    created = params.get("created", {})
    bounds = created if isinstance(created, dict) else {"gte": created, "lte": created}
    page = Page(
        limit,
        _place(call, kind, "starting_after"),
        _place(call, kind, "ending_before"),
        max(whole(bounds, "gte", 0) or 0, (whole(bounds, "gt", -1) or 0) + 1),
        min(whole(bounds, "lte", 2**62) or 0, (whole(bounds, "lt", 2**62) or 1) - 1),
    )
    parent = params.get("payment_intent")
    data, more = call.store.page(kind, page, None if parent is None else str(parent))
    return {"object": "list", "data": data, "has_more": more, "url": path}


def _place(call: Call, kind: str, name: str) -> str | None:
    given = call.params.get(name)
    return None if given is None else str(call.get(kind, str(given), name)["id"])


def _read(environ: "WSGIEnvironment") -> str:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length > BODY_BYTES_MAX:
        raise invalid("The request is too large.", status=413)
    if "matchday.body" not in environ:  # a fault may read it twice
        environ["matchday.body"] = environ["wsgi.input"].read(length).decode("utf-8", "replace")
    return str(environ["matchday.body"])


def _parsed(model: type[M], raw: str) -> M:
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise invalid(str(error)) from None


def _json(content: Any) -> Answer:
    return Answer(status=200, body=json.dumps(shown(content), indent=2))


def _error(error: StripeError) -> Answer:
    return Answer(status=error.status, body=json.dumps(shown(error.body), indent=2))


def create_app(settings: StandinSettings) -> Standin:
    """The stand-in, with its webhooks running."""
    return Standin(settings)
