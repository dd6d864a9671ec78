"""The HTTP models."""

from datetime import datetime
from enum import Enum
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, StringConstraints

from shared.http import AnswerModel, BodyModel, HeadersModel, Language, QueryModel
from users.accounts import Export
from users.domain import PASSWORD_CHARACTERS_MAX, PASSWORD_CHARACTERS_MIN, Account, Role, Search, Session
from users.handlers import Reauthenticated, SignedIn

# As HTML's own e-mail fields take it, with a dot in the domain.
LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
EMAIL = rf"^[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{LABEL}(?:\.{LABEL})+$"
Email = Annotated[str, StringConstraints(max_length=254, pattern=EMAIL), Field(description="An e-mail address.")]
Password = Annotated[
    str,
    StringConstraints(min_length=PASSWORD_CHARACTERS_MIN, max_length=PASSWORD_CHARACTERS_MAX),
    Field(description="8 characters or more; none of those that are tried first."),
]
# Of a password that is only compared: a short one is wrong, not invalid.
GivenPassword = Annotated[str, StringConstraints(min_length=1, max_length=PASSWORD_CHARACTERS_MAX)]
Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,200}$")]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$"), Field(description="ISO 3166-1 alpha-2.")]


class RoleName(Enum):
    """What an account may do."""

    BUYER = "buyer"
    GATE = "gate"
    PARTNER = "partner"
    ADMIN = "admin"


class NewAccount(BodyModel):
    """Who signs up."""

    email: Email
    password: Password
    country: Country | None = None
    language: Language | None = None


class Credentials(BodyModel):
    """Who signs in."""

    email: Email
    password: GivenPassword


class Refresh(BodyModel):
    """The session that is meant; pages send the cookies instead, and no body."""

    refresh_token: Token | None = None


class Verification(BodyModel):
    """What was mailed, and the account's password unless it is signed in."""

    token: Token
    password: GivenPassword | None = None


class ForgottenPassword(BodyModel):
    """Whose password is forgotten."""

    email: Email


class PasswordReset(BodyModel):
    """What was mailed, and the new password."""

    token: Token
    password: Password


class PasswordChange(BodyModel):
    """The old password and the new one."""

    current_password: GivenPassword
    new_password: Password


class GivenAgain(BodyModel):
    """The password, once more."""

    password: GivenPassword


class ProfileChange(BodyModel):
    """What is to be different; null takes a value away, what is left out stays."""

    country: Country | None = None
    language: Language | None = None


class NewRoles(BodyModel):
    """All roles that the account is to have; `buyer` is always one."""

    roles: list[RoleName] = Field(max_length=4)


class RoleChange(BodyModel):
    """A role that whoever has verified the address gets or loses."""

    email: Email
    role: RoleName
    granted: bool = True


class AccountQuery(QueryModel):
    """Which accounts."""

    email: Annotated[str, Field(max_length=254, description="Those that claim this address.")] | None = None
    begins: Annotated[str, Field(min_length=1, max_length=254, description="Whose address begins so.")] | None = None
    role: Annotated[RoleName, Field(description="Those that have it.")] | None = None
    cursor: UUID | None = Field(None, description="`nextCursor` of the page before.")
    limit: int = Field(50, ge=1, le=200, description="How many at most.")

    def search(self) -> Search:
        """The same for the domain."""
        return Search(self.email, self.begins, None if self.role is None else Role(self.role.value))


class CsrfHeaders(HeadersModel):
    """What a page proves that it is ours with."""

    csrf_token: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        None, alias="X-CSRF-Token", description="The value of the cookie `matchday_csrf`; only with cookies."
    )


class User(AnswerModel):
    """An account."""

    id: UUID
    email: str
    email_verified: bool
    roles: list[str]
    country: str | None
    language: str | None
    created_at: datetime

    @classmethod
    def of(cls, account: Account) -> Self:
        """The account as its owner sees it."""
        return cls(
            id=UUID(account.id),
            email=account.email,
            email_verified=account.verified,
            roles=sorted(role.value for role in account.roles),
            country=account.country,
            language=account.language,
            created_at=account.created_at,
        )


class Tokens(AnswerModel):
    """A session: the access token opens routes, the refresh token is for the next pair and is used once."""

    access_token: str
    refresh_token: str
    expires_in: int = Field(description="Seconds that the access token is valid.")
    user: User

    @classmethod
    def of(cls, signed_in: SignedIn, expires_in: int) -> Self:
        return cls(
            access_token=signed_in.access_token,
            refresh_token=signed_in.refresh_token,
            expires_in=expires_in,
            user=User.of(signed_in.account),
        )


class Proof(AnswerModel):
    """An access token that says that the password was given just now."""

    access_token: str
    expires_in: int = Field(description="Seconds that the access token is valid.")
    fresh_seconds: int = Field(description="Seconds for which it opens what needs a fresh password.")

    @classmethod
    def of(cls, proven: Reauthenticated, fresh_seconds: int) -> Self:
        return cls(access_token=proven.access_token, expires_in=proven.expires_in, fresh_seconds=fresh_seconds)


class OpenSession(AnswerModel):
    """Where the account is signed in."""

    id: UUID
    current: bool = Field(description="Whether this request came from it.")
    address: str
    user_agent: str
    signed_in_at: datetime
    seen_at: datetime = Field(description="When its tokens were renewed last.")
    expires_at: datetime

    @classmethod
    def of(cls, session: Session, current: str) -> Self:
        return cls(
            id=UUID(session.id),
            current=session.id == current,
            address=session.device.address,
            user_agent=session.device.user_agent,
            signed_in_at=session.signed_in_at,
            seen_at=session.seen_at,
            expires_at=session.expires_at,
        )


class OpenSessions(AnswerModel):
    """The account's sessions, the youngest first."""

    items: list[OpenSession]
    next_cursor: None = None


class Users(AnswerModel):
    """A page of accounts."""

    items: list[User]
    next_cursor: UUID | None


class SentMail(AnswerModel):
    """A mail to the account's address."""

    kind: str
    subject: str
    created_at: datetime
    sent_at: datetime | None


class ExportedData(AnswerModel):
    """All that is known of the account here."""

    user: User
    sessions: list[OpenSession]
    mails: list[SentMail] = Field(description="Those of the last days.")
    elsewhere: list[str] = Field(description="Where other services answer for the rest.")

    @classmethod
    def of(cls, export: Export, current: str) -> Self:
        return cls(
            user=User.of(export.account),
            sessions=[OpenSession.of(session, current) for session in export.sessions],
            mails=[
                SentMail(kind=mail.kind, subject=mail.subject, created_at=mail.created_at, sent_at=mail.sent_at)
                for mail in export.mails
            ],
            elsewhere=["GET /api/reservations", "GET /api/tickets"],
        )


class PublicKey(AnswerModel):
    """A public key (RFC 7517, RFC 8037)."""

    kty: str
    crv: str
    use: str
    alg: str
    kid: str
    x: str


class PublicKeys(AnswerModel):
    """The keys that access tokens are verified by."""

    keys: list[PublicKey]
