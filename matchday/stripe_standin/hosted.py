"""A page of the stand-in's own that takes a card without scripts, as a hosted payment page does.

`GET /standin/pay?client_secret=…&return_url=…` shows it. After the payment, or after the bank's question, the buyer is
led to `return_url`, told how it went in the words of a redirect of Stripe's.
"""

from html import escape
from urllib.parse import urlsplit

from matchday.stripe_standin import intents
from matchday.stripe_standin.call import Call
from matchday.stripe_standin.errors import StripeError
from matchday.stripe_standin.form import Params
from matchday.stripe_standin.pages import way_back
from matchday.stripe_standin.store import Object

PATH = "/standin/pay"
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Pay by card</title>
<style>:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:28rem;margin:2rem auto;padding:0 1rem}
label{display:block;font-weight:600;margin-bottom:1rem}
input{display:block;box-sizing:border-box;width:100%;font:inherit;padding:.6rem;margin-top:.3rem;border:1px solid #777}
button{font:inherit;font-weight:600;padding:.6rem 1.2rem}
.wrong{border-left:.3rem solid #b3261e;padding-left:.8rem}</style></head><body><main>
"""


def params_of(given: Params, return_url: str) -> Params:
    """What the form's fields are to the API."""
    month, _, year = str(given.get("expiry", "")).partition("/")
    card = {
        "number": str(given.get("number", "")).replace(" ", ""),
        "exp_month": month.strip(),
        "exp_year": year.strip(),
        "cvc": str(given.get("cvc", "")).strip(),
    }
    return {
        "client_secret": str(given.get("client_secret", "")),
        "payment_method_data": {"type": "card", "card": card},
        "return_url": return_url,
    }


def intent_of(call: Call, client_secret: str) -> Object | None:
    """The intent that a client secret opens."""
    intent = call.store.find("payment_intent", client_secret.partition("_secret_")[0])
    return intent if intent is not None and intent["client_secret"] == client_secret else None


def page(intent: Object | None, given: Params, wrong: str = "") -> str:
    """The form, perhaps with why the card was not taken."""
    return_url = str(given.get("return_url", ""))
    if intent is None or urlsplit(return_url).scheme not in ("http", "https"):
        return f"{_PAGE}<h1>Nothing to pay</h1><p>This address is not complete.</p></main></body></html>"
    money = f"{intent['amount'] / 100:.2f} {intent['currency'].upper()}"
    told = f'<p class="wrong" role="alert">{escape(wrong)}</p>' if wrong else ""
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">'
        for name, value in (("client_secret", intent["client_secret"]), ("return_url", return_url))
    )
    return f"""{_PAGE}<h1>Pay {escape(money)}</h1><p>A test page: no money moves.</p>{told}<form method="post">{hidden}
<label>Card number <input name="number" inputmode="numeric" autocomplete="cc-number" required></label>
<label>Expiry (MM / YY) <input name="expiry" inputmode="numeric" autocomplete="cc-exp" required></label>
<label>Security code <input name="cvc" inputmode="numeric" autocomplete="cc-csc" required></label>
<button>Pay {escape(money)}</button></form>
<p><a href="{escape(return_url)}?redirect_status=failed">Back, without paying</a></p></main></body></html>"""


def pay(call: Call, given: Params) -> tuple[str | None, str]:
    """Confirms the intent: where to go on, or why the card was not taken.

    What was written down stays, also of a card that declines; so this is called in a transaction that is not undone.
    """
    intent = intent_of(call, str(given.get("client_secret", "")))
    if intent is None:
        return None, ""
    try:
        confirmed = intents.confirm(call, intent["id"])
    except StripeError as error:
        message = str(error)
        if error.body["error"].get("code") != "payment_intent_unexpected_state":
            return None, message
        confirmed = intent  # paid in another window, say: its page knows
    action = confirmed["next_action"]
    if action is not None:
        return str(action["redirect_to_url"]["url"]), ""
    return way_back(confirmed | {"_return_url": call.params["return_url"]}), ""
