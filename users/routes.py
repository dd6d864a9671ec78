"""HTTP: parse, one use case, answer."""

from dataclasses import dataclass
from uuid import UUID

import orjson
from flask import Response, request

from shared.errors import (
    CsrfFailed,
    DependencyUnavailable,
    Forbidden,
    IdempotencyKeyReused,
    NotFound,
    Overloaded,
    RateLimited,
    Unauthenticated,
)
from shared.http import (
    CREDENTIAL,
    SIGNED_IN,
    Caller,
    IdempotencyHeaders,
    Routes,
    json_answer,
    roles,
)
from shared.http.callers import check_csrf
from shared.http.deliveries import delivery_routes
from users import accounts, handlers, links, tables
from users.cookies import Cookies
from users.domain import (
    Device,
    InvalidMailToken,
    PasswordRequired,
    RecentSignInRequired,
    RefreshTokenReused,
    Role,
    SignInFailed,
)
from users.handlers import SignedIn, Site
from users.schemas import (
    AccountQuery,
    Credentials,
    CsrfHeaders,
    ExportedData,
    ForgottenPassword,
    GivenAgain,
    NewAccount,
    NewRoles,
    OpenSession,
    OpenSessions,
    PasswordChange,
    PasswordReset,
    ProfileChange,
    Proof,
    PublicKeys,
    Refresh,
    RoleChange,
    Tokens,
    User,
    Users,
    Verification,
)

routes = Routes("users", "Sign up, sign in, stay signed in, sign out.")
mine = Routes("me", "One's own account.")
admin = Routes("admin", "For whoever runs the site.")
internal = Routes("internal", "For this site's operator.")
deliveries = delivery_routes(tables.deliveries, lambda wiring: wiring.site.database)

SESSION = {"Set-Cookie": "The tokens once more, as cookies for pages."}
FAREWELL = {"Set-Cookie": "The cookies of pages, emptied."}
USER_AGENT_LONGEST = 200
KEYS_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Wiring:
    """What `app.py` made."""

    site: Site
    cookies: Cookies

    def answer(self, signed_in: SignedIn, status: int = 200) -> Response:
        """The tokens, as a body for programs and as cookies for pages."""
        body = Tokens.of(signed_in, self.site.settings.access_token_seconds)
        return json_answer(body, status, self.cookies.of(signed_in))

    def farewell(self) -> Response:
        """Nothing, and no cookies any more."""
        return json_answer(None, 204, self.cookies.none())


def _device(caller: Caller) -> Device:
    return Device(caller.address, request.headers.get("User-Agent", "")[:USER_AGENT_LONGEST].replace("\0", ""))


def _given(body: Refresh | None) -> str | None:
    return None if body is None else body.refresh_token


def _session(caller: Caller) -> str:
    assert caller.account is not None  # the door lets nobody in who is not signed in
    return caller.account.session_id


@routes.post(
    "/api/users/signup",
    answer=Tokens,
    status=201,
    sends=SESSION,
    access=CREDENTIAL,
    limit="sign_up",
    raises=[IdempotencyKeyReused, Unauthenticated, Overloaded, DependencyUnavailable],
)
def sign_up(wiring: Wiring, caller: Caller, body: NewAccount, headers: IdempotencyHeaders) -> Response:
    """Make an account and sign in.

    The address has to be verified by what is mailed to it. For an address that belongs to an account already the answer
    is the same, and its owner is told by mail; the new account can never verify it.
    """
    wish = handlers.NewAccount(
        body.email,
        body.password,
        body.country,
        body.language,
        headers.idempotency_key,
        body.model_dump_json(by_alias=True).encode(),
    )
    return wiring.answer(handlers.sign_up(wiring.site, wish, _device(caller)), 201)


@routes.post(
    "/api/users/signin",
    answer=Tokens,
    sends=SESSION,
    access=CREDENTIAL,
    limit="sign_in",
    raises=[SignInFailed, RateLimited, Overloaded, DependencyUnavailable],
)
def sign_in(wiring: Wiring, caller: Caller, body: Credentials) -> Response:
    """Sign in: tokens in the body for programs, the same as cookies for pages."""
    return wiring.answer(handlers.sign_in(wiring.site, body.email, body.password, _device(caller)))


@routes.post(
    "/api/users/refresh",
    answer=Tokens,
    sends=SESSION,
    access=CREDENTIAL,
    limit="sign_in",
    raises=[Unauthenticated, RefreshTokenReused, CsrfFailed, DependencyUnavailable],
)
def refresh(wiring: Wiring, caller: Caller, body: Refresh | None, headers: CsrfHeaders) -> Response:
    """Get the next pair of tokens for a refresh token, in the body or in the cookie; it cannot be used again.

    One that was used before ends the session, for its owner and for its thief. With the cookie, send `X-CSRF-Token`.
    """
    token, csrf = _given(body), None
    if token is None:
        token, csrf = wiring.cookies.refresh_token(), headers.csrf_token or ""
    if token is None:
        raise Unauthenticated("send a refresh token")
    return wiring.answer(handlers.refresh(wiring.site, token, _device(caller), csrf))


@routes.post(
    "/api/users/signout",
    answer=None,
    status=204,
    sends=FAREWELL,
    access=CREDENTIAL,
    raises=[CsrfFailed, DependencyUnavailable],
)
def sign_out(wiring: Wiring, caller: Caller, body: Refresh | None) -> Response:
    """End the session that the access token, the refresh token or the cookies belong to; there may be none."""
    session_id = None
    if caller.account is not None:
        check_csrf(caller.account, request.method, request.environ)
        session_id = caller.account.session_id
    handlers.sign_out(wiring.site, session_id, _given(body) or wiring.cookies.refresh_token())
    return wiring.farewell()


@routes.post(
    "/api/users/email/verification",
    answer=None,
    status=202,
    access=SIGNED_IN,
    limit="mail",
    raises=[DependencyUnavailable],
)
def ask_to_verify(wiring: Wiring, caller: Caller) -> Response:
    """Have the mail that verifies the address sent again."""
    links.ask_to_verify(wiring.site, _session(caller))
    return json_answer(None, 202)


@routes.post(
    "/api/users/email/verify",
    answer=User,
    access=CREDENTIAL,
    limit="sign_in",
    raises=[
        InvalidMailToken,
        PasswordRequired,
        CsrfFailed,
        SignInFailed,
        Unauthenticated,
        RateLimited,
        Overloaded,
        DependencyUnavailable,
    ],
)
def verify_email(wiring: Wiring, caller: Caller, body: Verification) -> User:
    """Verify the address by the token that was mailed to it, signed in or with the password.

    Reservations that a guest made with this address join the account. The next access token says that the address is
    verified.
    """
    account_id = None
    if caller.account is not None:
        check_csrf(caller.account, request.method, request.environ)
        account_id = caller.account.id
    return User.of(links.verify_email(wiring.site, body.token, account_id, body.password))


@routes.post(
    "/api/users/password/forgotten",
    answer=None,
    status=202,
    access=CREDENTIAL,
    limit="mail",
    raises=[IdempotencyKeyReused, DependencyUnavailable],
)
def forgot_password(wiring: Wiring, body: ForgottenPassword, headers: IdempotencyHeaders) -> Response:
    """Have a mail sent that lets its reader choose a new password. The answer is the same whoever has the address."""
    content = body.model_dump_json(by_alias=True).encode()
    links.forgot_password(wiring.site, body.email, headers.idempotency_key, content)
    return json_answer(None, 202)


@routes.post(
    "/api/users/password/reset",
    answer=None,
    status=204,
    sends=FAREWELL,
    access=CREDENTIAL,
    limit="sign_in",
    raises=[InvalidMailToken, Unauthenticated, Overloaded, DependencyUnavailable],
)
def reset_password(wiring: Wiring, body: PasswordReset) -> Response:
    """Choose a new password by the token that was mailed. The address counts as verified; all sessions end."""
    links.reset_password(wiring.site, body.token, body.password)
    return wiring.farewell()


@routes.get("/.well-known/jwks.json", answer=PublicKeys, raises=[DependencyUnavailable])
def public_keys(wiring: Wiring) -> Response:
    """The public keys that access tokens are verified by."""
    headers = [("Cache-Control", f"public, max-age={KEYS_SECONDS}")]
    return json_answer(orjson.dumps(wiring.site.keys.jwks()), 200, headers)


@mine.get("/api/users/me", answer=User, access=SIGNED_IN, raises=[DependencyUnavailable])
def get_me(wiring: Wiring, caller: Caller) -> User:
    """The account that is signed in."""
    return User.of(accounts.profile(wiring.site, _session(caller)))


@mine.patch("/api/users/me", answer=User, access=SIGNED_IN, raises=[DependencyUnavailable])
def change_me(wiring: Wiring, caller: Caller, body: ProfileChange) -> User:
    """Change country or language."""
    changes = body.model_dump(include=body.model_fields_set)
    return User.of(accounts.change_profile(wiring.site, _session(caller), changes))


@mine.delete(
    "/api/users/me",
    answer=None,
    status=204,
    sends=FAREWELL,
    access=SIGNED_IN,
    raises=[RecentSignInRequired, DependencyUnavailable],
)
def delete_me(wiring: Wiring, caller: Caller) -> Response:
    """Delete the account and what is known of its owner. Needs a sign-in of the last minutes."""
    accounts.delete_account(wiring.site, _session(caller))
    return wiring.farewell()


@mine.get("/api/users/me/export", answer=ExportedData, access=SIGNED_IN, raises=[DependencyUnavailable])
def export_me(wiring: Wiring, caller: Caller) -> ExportedData:
    """All that is known of the account here."""
    return ExportedData.of(accounts.export(wiring.site, _session(caller)), _session(caller))


@mine.post(
    "/api/users/me/password",
    answer=None,
    status=204,
    access=SIGNED_IN,
    limit="sign_in",
    raises=[SignInFailed, RateLimited, Overloaded, DependencyUnavailable],
)
def change_password(wiring: Wiring, caller: Caller, body: PasswordChange) -> None:
    """Change the password; all other sessions end."""
    accounts.change_password(wiring.site, _session(caller), body.current_password, body.new_password)


@mine.post(
    "/api/users/me/reauthentication",
    answer=Proof,
    sends={"Set-Cookie": "The token once more, as the cookie of pages."},
    access=SIGNED_IN,
    limit="sign_in",
    raises=[SignInFailed, RateLimited, Overloaded, DependencyUnavailable],
)
def reauthenticate(wiring: Wiring, caller: Caller, body: GivenAgain) -> Response:
    """Give the password again, for what is `reauthentication_required`.

    The answer's access token opens that for some minutes. The one that the next refresh gives does not.
    """
    proven = handlers.reauthenticate(wiring.site, _session(caller), body.password)
    answer = Proof.of(proven, wiring.site.settings.reauthentication_seconds)
    return json_answer(answer, headers=wiring.cookies.renewed(proven.access_token))


@mine.get("/api/users/me/sessions", answer=OpenSessions, access=SIGNED_IN, raises=[DependencyUnavailable])
def list_sessions(wiring: Wiring, caller: Caller) -> OpenSessions:
    """Where the account is signed in."""
    found = accounts.sessions(wiring.site, _session(caller))
    return OpenSessions(items=[OpenSession.of(session, _session(caller)) for session in found])


@mine.delete("/api/users/me/sessions", answer=None, status=204, access=SIGNED_IN, raises=[DependencyUnavailable])
def end_other_sessions(wiring: Wiring, caller: Caller) -> None:
    """Sign out everywhere but here."""
    accounts.end_other_sessions(wiring.site, _session(caller))


@mine.delete(
    "/api/users/me/sessions/{sessionId}",
    answer=None,
    status=204,
    access=SIGNED_IN,
    raises=[NotFound, DependencyUnavailable],
)
def end_session(wiring: Wiring, caller: Caller, session_id: UUID) -> None:
    """End one session. Its access token stays valid at other services for some minutes at most."""
    accounts.end_session(wiring.site, _session(caller), str(session_id))


@admin.get("/api/users/accounts", answer=Users, access=roles("admin"), raises=[DependencyUnavailable])
def list_accounts(wiring: Wiring, query: AccountQuery) -> Users:
    """Accounts, page by page, all or those that fit."""
    after = None if query.cursor is None else str(query.cursor)
    found = accounts.list_accounts(wiring.site, query.search(), after, query.limit)
    more = UUID(found[-1].id) if len(found) == query.limit else None
    return Users(items=[User.of(account) for account in found], next_cursor=more)


@admin.put(
    "/api/users/accounts/{accountId}/roles",
    answer=User,
    access=roles("admin"),
    fresh=True,
    raises=[NotFound, Forbidden, DependencyUnavailable],
)
def set_roles(wiring: Wiring, caller: Caller, account_id: UUID, body: NewRoles) -> User:
    """Give an account exactly these roles. Tokens that were given out say the old ones for some minutes."""
    wanted = frozenset(Role(role.value) for role in body.roles)
    return User.of(accounts.set_roles(wiring.site, str(account_id), wanted, _session(caller)))


@internal.post("/internal/accounts/roles", answer=User, audited=True, raises=[NotFound, DependencyUnavailable])
def grant_role(wiring: Wiring, body: RoleChange) -> User:
    """Give a role to whoever has verified an address, or take it away."""
    return User.of(accounts.grant(wiring.site, body.email, Role(body.role.value), granted=body.granted))
