"""The test cards of https://docs.stripe.com/testing, by number and by PaymentMethod, and what each does.

Numbers come in here and go no further: a PaymentMethod keeps brand, last four digits and behaviour.
"""

from dataclasses import dataclass
from typing import Literal

from matchday.stripe_standin.errors import StripeError, card_error

Refunds = Literal["succeed", "pend", "fail"]


@dataclass(frozen=True, slots=True)
class Decline:
    """Why a charge fails: Stripe's error code, and the decline code where there is one."""

    code: str
    decline_code: str | None
    message: str


DECLINED = "Your card was declined."


def _declined(decline_code: str, message: str = DECLINED) -> Decline:
    return Decline("card_declined", decline_code, message)


EXPIRED = Decline("expired_card", "expired_card", "Your card has expired.")
INCORRECT_CVC = Decline("incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect.")
PROCESSING = Decline(
    "processing_error", "processing_error", "An error occurred while processing your card. Try again in a little bit."
)
INSUFFICIENT = _declined("insufficient_funds", "Your card has insufficient funds.")
GENERIC = _declined("generic_decline")
# What Stripe says in test mode of a number that is well-formed but none of the test cards.
NOT_A_TEST_CARD = _declined(
    "test_mode_live_card", "Your card was declined. Your request was in test mode, but used a non test card."
)


@dataclass(frozen=True, slots=True)
class Card:
    """A test card: `asks` for 3-D Secure, then declines or not, and its refunds succeed at once or not."""

    number: str
    methods: tuple[str, ...]
    brand: str = "visa"
    funding: str = "credit"
    decline: Decline | None = None
    asks: bool = False
    refunds: Refunds = "succeed"


CARDS = (
    Card("4242424242424242", ("pm_card_visa", "pm_card_us")),
    Card("4000056655665556", ("pm_card_visa_debit",), funding="debit"),
    Card("5555555555554444", ("pm_card_mastercard",), "mastercard"),
    Card("2223003122003222", (), "mastercard"),
    Card("5200828282828210", ("pm_card_mastercard_debit",), "mastercard", "debit"),
    Card("5105105105105100", ("pm_card_mastercard_prepaid",), "mastercard", "prepaid"),
    Card("378282246310005", ("pm_card_amex", "pm_card_amex_threeDSecureNotSupported"), "amex"),
    Card("371449635398431", (), "amex"),
    Card("6011111111111117", ("pm_card_discover",), "discover"),
    Card("6011000990139424", (), "discover"),
    Card("3056930009020004", ("pm_card_diners",), "diners"),
    Card("36227206271667", (), "diners"),
    Card("3566002020360505", ("pm_card_jcb",), "jcb"),
    Card("6200000000000005", ("pm_card_unionpay",), "unionpay"),
    Card("4000000000000002", ("pm_card_visa_chargeDeclined", "pm_card_chargeDeclined"), decline=GENERIC),
    Card(
        "4000000000009995",
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "pm_card_chargeDeclinedInsufficientFunds"),
        decline=INSUFFICIENT,
    ),
    Card("4000000000009987", ("pm_card_visa_chargeDeclinedLostCard",), decline=_declined("lost_card")),
    Card("4000000000009979", ("pm_card_visa_chargeDeclinedStolenCard",), decline=_declined("stolen_card")),
    Card("4000000000000069", ("pm_card_chargeDeclinedExpiredCard",), decline=EXPIRED),
    Card("4000000000000127", ("pm_card_chargeDeclinedIncorrectCvc",), decline=INCORRECT_CVC),
    Card("4000000000000119", ("pm_card_chargeDeclinedProcessingError",), decline=PROCESSING),
    Card(
        "4000000000006975",
        ("pm_card_visa_chargeDeclinedVelocityLimitExceeded",),
        decline=_declined("card_velocity_exceeded"),
    ),
    Card("4000000000000341", ("pm_card_chargeCustomerFail",), decline=GENERIC),
    Card("4100000000000019", ("pm_card_radarBlock",), decline=_declined("fraudulent")),
    Card("4000002760003184", ("pm_card_authenticationRequired",), asks=True),
    Card("4000002500003155", ("pm_card_authenticationRequiredOnSetup",), asks=True),
    Card("4000003800000446", ("pm_card_authenticationRequiredSetupForOffSession",), asks=True),
    Card(
        "4000008260003178",
        ("pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",),
        decline=INSUFFICIENT,
        asks=True,
    ),
    Card("4000000000003220", ("pm_card_threeDSecure2Required",), asks=True),
    Card("4000008400001629", ("pm_card_threeDSecureRequiredChargeDeclined",), decline=GENERIC, asks=True),
    Card("4000008400001280", ("pm_card_threeDSecureRequiredProcessingError",), decline=PROCESSING),
    Card("4000000000003055", ("pm_card_threeDSecureOptional",)),
    Card("4000000000007726", ("pm_card_pendingRefund",), refunds="pend"),
    Card("4000000000005126", ("pm_card_refundFail",), refunds="fail"),
)
BY_NUMBER = {card.number: card for card in CARDS}
BY_METHOD = {method: card for card in CARDS for method in card.methods}


def read_number(number: str) -> Card:
    """The card of a number. Raises what Stripe answers to a number that cannot be one."""
    digits = number.replace(" ", "").replace("-", "")
    if not digits.isascii() or not digits.isdigit() or not 12 <= len(digits) <= 19 or not _luhn(digits):
        raise card_error("incorrect_number", "Your card number is incorrect.", param="number")
    return BY_NUMBER.get(digits) or Card(digits, (), _brand(digits), decline=NOT_A_TEST_CARD)


def check_dates(month: int, year: int, this_year: int, this_month: int) -> None:
    """Raises what Stripe answers to an expiry that cannot be one, or is over."""
    full_year = year + 2000 if 0 <= year < 100 else year
    if not 1 <= month <= 12:
        raise _expiry("month")
    if not this_year <= full_year <= this_year + 50:
        raise _expiry("year")
    if (full_year, month) < (this_year, this_month):
        raise _expiry("month")


def _expiry(part: str) -> StripeError:
    return card_error(f"invalid_expiry_{part}", f"Your card's expiration {part} is invalid.", param=f"exp_{part}")


def check_cvc(cvc: str, brand: str) -> None:
    """Raises what Stripe answers to a security code of the wrong form."""
    if not (cvc.isascii() and cvc.isdigit() and len(cvc) in ((3, 4) if brand == "amex" else (3,))):
        raise card_error("invalid_cvc", "Your card's security code is invalid.", param="cvc")


def _luhn(digits: str) -> bool:
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def _brand(digits: str) -> str:
    return {"4": "visa", "5": "mastercard", "3": "amex", "6": "discover"}.get(digits[0], "unknown")
