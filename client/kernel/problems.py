"""What a visitor is told when something is refused: a problem's code in words, in the visitor's language.

The codes are those of the services (docs/buying.md); one that is not known here is told as what its status means.
"""

from dataclasses import dataclass

from client.calls import Refused
from client.kernel.words import N_
from shared.errors import MatchdayError

# code → what happened, and what can be done about it
TEXTS: dict[str, tuple[str, str]] = {
    "not_found": (N_("We could not find this page"), N_("Perhaps the address has a typing error, or it has moved.")),
    "method_not_allowed": (N_("This does not work this way"), N_("Go back, and use the page's own buttons.")),
    "bad_request": (N_("We could not read that"), N_("Go back and try once more.")),
    "csrf_failed": (N_("This form is too old"), N_("Go back, load the page again, and send it once more.")),
    "forbidden": (N_("This is not yours to open"), N_("Sign in with the account that it belongs to.")),
    "unauthenticated": (N_("Please sign in"), N_("Sign in first, or open the reservation with its code.")),
    "blocked": (N_("We cannot take requests from you now"), N_("If you think that this is a mistake, write to us.")),
    "rate_limited": (N_("That was a little fast"), N_("Wait a moment, then try again.")),
    "sold_out": (N_("Ticket is sold out"), N_("Every ticket of this category is sold. Have a look at the others.")),
    "temporarily_unavailable": (
        N_("Ticket is temporarily unavailable"),
        N_("All that are left are on hold by others. Some come back within minutes."),
    ),
    "purchase_limit": (
        N_("You have as many tickets of this match as one person may have"),
        N_("What you have is under My tickets."),
    ),
    "hold_expired": (N_("The time to pay is over"), N_("The tickets have gone back. You can hold them again.")),
    "not_held": (N_("Your tickets are not held yet"), N_("Wait for the answer on the reservation's page.")),
    "already_paid": (N_("This is paid already"), N_("Your tickets are under My tickets.")),
    "already_reserved": (N_("This is paid already"), N_("Your tickets are under My tickets.")),
    "idempotency_key_reused": (N_("This form was sent before"), N_("Load the page again before you send it anew.")),
    "ticket_void": (N_("This ticket opens no gate any more"), N_("It was given back or refunded.")),
    "listing_held": (
        N_("Somebody was faster"),
        N_("Somebody is about to pay for this ticket. It comes back if they do not."),
    ),
    "listing_ended": (N_("This ticket is not on offer any more"), N_("Have a look at the other offers.")),
    "own_listing": (N_("This is your own ticket"), N_("You can withdraw it under What I have on offer.")),
    "already_listed": (N_("This ticket is on offer already"), N_("You find it under What I have on offer.")),
    "ticket_not_resellable": (
        N_("This ticket cannot be sold"),
        N_("It was used, it is void, or its match has begun."),
    ),
    "price_above_cap": (N_("This price is too high"), N_("There is a highest price, by the ticket's face value.")),
    "waiting_room": (N_("Very many people want these tickets"), N_("Take a place in the line on the match's page.")),
    "waiting_room_full": (N_("The line is full"), N_("Try again in a moment.")),
    "too_many_places": (
        N_("Many people of your network are in the line"),
        N_("Sign in with an account whose e-mail address is confirmed, and you have a place of your own."),
    ),
    "wrong_credentials": (N_("The e-mail address or the password is wrong"), N_("Check both, then try again.")),
    "refresh_token_reused": (N_("Your session has ended"), N_("Sign in again.")),
    "recent_sign_in_required": (N_("Please sign in once more"), N_("For this we need to be sure that it is you.")),
    "invalid_token": (
        N_("This link is no longer good"),
        N_("It was used before, or it is too old. Ask for a new one."),
    ),
    "password_required": (N_("Please give your password"), N_("It shows that the account is yours.")),
    "stripe_refused": (N_("This cannot be paid by card"), N_("Nothing was charged. Please write to us.")),
    "reauthentication_required": (N_("Please give your password again"), N_("It is needed for money and roles.")),
    "already_replayed": (N_("This record has counted already"), N_("Nothing was changed.")),
    "still_refused": (N_("This record is refused again"), N_("Its reason still stands.")),
    "not_paid": (N_("There is nothing to give back"), N_("The payment has not succeeded.")),
    "refund_too_large": (N_("That is more than is left of the payment"), N_("Give back less.")),
    "list_full": (N_("The lists are full"), N_("Take something off first.")),
    "too_many_streams": (N_("Many people are watching"), N_("Numbers come when you load the page again.")),
    "broker_unavailable": (
        N_("We cannot ask for tickets at present"),
        N_("Nothing was taken and nothing was charged. Try again in a moment."),
    ),
    "dependency_unavailable": (
        N_("A part of this site is resting"),
        N_("Nothing was changed. Try again in a moment."),
    ),
    "overloaded": (N_("Very many people are here at once"), N_("Nothing was changed. Try again in a moment.")),
    "validation_failed": (N_("Something in the form is not right"), N_("Go back and check what you have written.")),
    "body_too_large": (N_("That was too much at once"), N_("Go back and write less.")),
    "internal_error": (N_("Something went wrong here"), N_("It is our fault, not yours. Try again in a moment.")),
}
BY_STATUS = {400: "bad_request", 401: "unauthenticated", 403: "forbidden", 404: "not_found", 409: "not_found",
             413: "body_too_large", 422: "validation_failed", 429: "rate_limited",
             503: "dependency_unavailable"}  # fmt: skip
# What is wrong with one field: by the code of the violation, and for some fields more exactly.
FIELD_TEXTS: dict[str, str] = {
    "required": N_("Please fill this in."),
    "too_weak": N_("This password is one of those that are tried first. Please choose another."),
    "wrong_length": N_("This is too short or too long."),
    "out_of_range": N_("This number is too small or too large."),
    "email": N_("This is not an e-mail address."),
    "other": N_("This does not look right."),
}


@dataclass(frozen=True)
class Trouble:
    """What an error page tells; texts are not translated yet."""

    code: str
    status: int
    title: str
    advice: str
    retry_after: int | None = None

    @classmethod
    def of(cls, error: Refused | MatchdayError) -> "Trouble":
        """What is told of a refusal by a service, or of an error of our own."""
        code = error.code if error.code in TEXTS else BY_STATUS.get(error.status, "internal_error")
        title, advice = TEXTS[code]
        return cls(error.code, error.status, title, advice, error.retry_after)


def field_text(field: str, code: str) -> str:
    """What is told of one field; not translated yet."""
    if code in ("wrong_format", "invalid") and field == "email":
        return FIELD_TEXTS["email"]
    return FIELD_TEXTS.get(code, FIELD_TEXTS["other"])
