"""Who is signed in: the account of the access cookie, and new tokens for a session whose access token is over."""

import hashlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from client import api
from client.calls import Calls, Json, Refused
from client.kernel.cookies import LANGUAGE_COOKIE, REFRESH_COOKIE, SESSION_COOKIES, YEAR_SECONDS, Jar
from client.kernel.languages import NAMES
from shared.errors import MatchdayError
from shared.http.callers import ACCESS_COOKIE, Account
from shared.http.identity import JwksAccounts

SESSION_SECONDS = 90 * 86_400
KEPT_SECONDS = 30.0  # for requests of the same browser that were sent before the new tokens came
WAIT_SECONDS_MAX = 20.0


class Renewals:
    """Renews each session once, however many requests of a browser find at the same time that it is due.

    A refresh token serves once, and a second use ends the session. Two tabs that are opened together send the same one;
    so whoever comes second, within some seconds and at this process, gets what the first one got.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Future[Json]]] = {}

    def renew(self, refresh_token: str, ask: Callable[[str], Json]) -> Json:
        """The next tokens. Raises `Refused`."""
        name = hashlib.sha256(refresh_token.encode()).hexdigest()
        with self._lock:
            self._forget_old()
            known = self._known.get(name)
            future: Future[Json] = known[1] if known else Future()
            if known is None:
                self._known[name] = (time.monotonic(), future)
        if known is None:
            self._ask(name, refresh_token, ask, future)
        return future.result(WAIT_SECONDS_MAX)

    def _ask(self, name: str, refresh_token: str, ask: Callable[[str], Json], future: "Future[Json]") -> None:
        try:
            future.set_result(ask(refresh_token))
        except Refused as refused:
            if refused.status >= 500:  # nothing was used up: the next one may ask again
                with self._lock:
                    self._known.pop(name, None)
            future.set_exception(refused)
        except BaseException as error:
            future.set_exception(error)
            raise

    def _forget_old(self) -> None:
        over = time.monotonic() - KEPT_SECONDS
        self._known = {name: known for name, known in self._known.items() if known[0] > over or not known[1].done()}


class Sessions:
    """Finds out who visits."""

    def __init__(self, accounts: JwksAccounts) -> None:
        self._accounts = accounts
        self._renewals = Renewals()

    def account(self, jar: Jar) -> Account | None:
        """The account of the access cookie, when that is valid."""
        token = jar.get(ACCESS_COOKIE)
        if token is None:
            return None
        try:
            return self._accounts.verify(token)
        except MatchdayError:
            return None

    def renew(self, jar: Jar, calls: Calls) -> Account | None:
        """The account after its tokens were renewed; None for a session that has ended. Raises `Refused`."""
        token = jar.get(REFRESH_COOKIE)
        if token is None:
            return None
        try:
            keep_session(jar, self._renewals.renew(token, lambda given: api.refresh(calls, given)))
        except Refused as refused:
            if refused.status >= 500 or refused.status in (403, 429):
                raise
            forget_session(jar)
            return None
        return self.account(jar)


def keep_session(jar: Jar, tokens: Json) -> None:
    """Gives the browser the tokens of a session."""
    jar.keep(ACCESS_COOKIE, tokens["accessToken"], int(tokens["expiresIn"]))
    jar.keep(REFRESH_COOKIE, tokens["refreshToken"], SESSION_SECONDS)


def begin_session(jar: Jar, tokens: Json) -> None:
    """After signing in or up: the tokens, and the language that the account has chosen."""
    keep_session(jar, tokens)
    jar.renew_form_token()
    chosen = (tokens["user"].get("language") or "").partition("-")[0]
    if chosen in NAMES:
        jar.keep(LANGUAGE_COOKIE, chosen, YEAR_SECONDS)


def forget_session(jar: Jar) -> None:
    """The browser is signed out."""
    for name in SESSION_COOKIES:
        jar.forget(name)
    jar.renew_form_token()
