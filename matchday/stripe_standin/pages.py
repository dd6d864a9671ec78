"""What a buyer's browser sees: the bank's question (3-D Secure), and a small payment element.

The element has the part of Stripe.js's interface that our pages use, so that a page is the same with either:

    const stripe = Stripe("pk_test_…");
    const elements = stripe.elements({clientSecret});
    elements.create("payment").mount("#payment");
    const {error} = await stripe.confirmPayment({elements, confirmParams: {return_url}});
    const {paymentIntent} = await stripe.retrievePaymentIntent(clientSecret);
"""

from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from matchday.stripe_standin.store import Object

HTML = "text/html; charset=utf-8"
_HEAD = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Stand-in for the bank</title><style>body{font:16px/1.5 system-ui;max-width:32rem;margin:3rem auto;padding:0 1rem}
button{font:inherit;padding:.5rem 1rem;margin-right:.5rem}</style>"""


def challenge(intent: Object | None, secret: str) -> str:
    """The page on which the bank asks."""
    if intent is None or intent["status"] != "requires_action" or secret != intent.get("_challenge"):
        return f"{_HEAD}<h1>Nothing to authenticate</h1>"
    money = f"{intent['amount'] / 100:.2f} {intent['currency'].upper()}"
    return (
        f"{_HEAD}<h1>3-D Secure</h1><p>A test page. Is the payment of <strong>{escape(money)}</strong> yours?</p>"
        '<form method="post"><button name="outcome" value="complete">Complete authentication</button>'
        '<button name="outcome" value="fail">Fail authentication</button></form>'
    )


def challenged(intent: Object) -> str:
    """After the answer, where there is no page to go back to."""
    return f"{_HEAD}<h1>Thank you</h1><p>The payment is: {escape(intent['status'])}. You may close this page.</p>"


def way_back(intent: Object) -> str | None:
    """The page that the buyer came from, told how it went as Stripe tells it."""
    address = intent.get("_return_url")
    if not address:
        return None
    parts = urlsplit(address)
    told = {
        "payment_intent": intent["id"],
        "payment_intent_client_secret": intent["client_secret"],
        "redirect_status": "succeeded" if intent["status"] == "succeeded" else "failed",
    }
    return urlunsplit(parts._replace(query=urlencode([*parse_qsl(parts.query), *told.items()])))


ELEMENT = """\
// A small stand-in for Stripe.js: the payment element for cards. See https://docs.stripe.com/js
(() => {
  const base = new URL(document.currentScript.src).origin;
  const FIELDS = [
    ["number", "cc-number", "4242 4242 4242 4242", 23],
    ["expiry", "cc-exp", "12 / 34", 7],
    ["cvc", "cc-csc", "123", 4],
  ];
  const WORDS = {
    en: {
      card: "Card", number: "Card number", expiry: "Expiry (MM / YY)", cvc: "Security code",
      away: "The payment service is out of reach.",
    },
    ar: {
      card: "البطاقة", number: "رقم البطاقة", expiry: "تاريخ الانتهاء (شهر / سنة)", cvc: "رمز الأمان",
      wrong_number: "رقم البطاقة غير صحيح.", wrong_expiry: "تاريخ انتهاء البطاقة غير صالح.",
      wrong_cvc: "رمز الأمان غير صحيح.", declined: "رُفضت بطاقتك.", away: "لا يمكن الوصول إلى خدمة الدفع.",
    },
    es: {
      card: "Tarjeta", number: "Número de tarjeta", expiry: "Caducidad (MM / AA)", cvc: "Código de seguridad",
      wrong_number: "El número de la tarjeta no es correcto.", wrong_expiry: "La fecha de caducidad no es válida.",
      wrong_cvc: "El código de seguridad no es correcto.", declined: "La tarjeta ha sido rechazada.",
      away: "No se puede llegar al servicio de pago.",
    },
    fr: {
      card: "Carte", number: "Numéro de carte", expiry: "Expiration (MM / AA)", cvc: "Code de sécurité",
      wrong_number: "Le numéro de carte est incorrect.", wrong_expiry: "La date d’expiration n’est pas valable.",
      wrong_cvc: "Le code de sécurité est incorrect.", declined: "Votre carte a été refusée.",
      away: "Le service de paiement est injoignable.",
    },
  };
  const wordsOf = (locale) => WORDS[(locale ?? "en").slice(0, 2)] ?? WORDS.en;
  // What the API says of a card is English, as Stripe's is; Stripe.js says it in the page's language.
  const told = (error, words) => {
    if (error?.type !== "card_error" || !words.declined) return error?.message ?? "";
    const about = /number|expir|cvc/.exec(error.code ?? "")?.[0].replace("expir", "expiry");
    return words[`wrong_${about}`] ?? words.declined;
  };
  class PaymentElement {
    constructor(words) { this.words = words; }
    mount(where) {
      const place = typeof where === "string" ? document.querySelector(where) : where;
      const group = document.createElement("fieldset");
      group.className = "StandinElement";
      const legend = document.createElement("legend");
      legend.textContent = this.words.card;
      group.append(legend);
      this.inputs = {};
      for (const [name, autocomplete, placeholder, maxLength] of FIELDS) {
        const label = document.createElement("label");
        const input = document.createElement("input");
        // Digits run from left to right in every language, and so month / year.
        Object.assign(input, {
          autocomplete, placeholder, maxLength, required: true, inputMode: "numeric", dir: "ltr",
        });
        label.append(this.words[name] + " ", input);
        group.append(label);
        this.inputs[name] = input;
      }
      this.error = document.createElement("p");
      this.error.setAttribute("role", "alert");
      group.append(this.error);
      place.replaceChildren(group);
      this.group = group;
    }
    unmount() { this.group?.remove(); }
    values() {
      const [month, year] = this.inputs.expiry.value.split("/").map((part) => part.trim());
      return { number: this.inputs.number.value.replace(/\\s/g, ""), exp_month: month ?? "", exp_year: year ?? "",
               cvc: this.inputs.cvc.value.trim() };
    }
  }
  const idOf = (clientSecret) => clientSecret.split("_secret_")[0];
  window.Stripe = (key, { locale: ofStripe } = {}) => {
    const ask = async (method, path, fields) => {
      const form = new URLSearchParams(fields);
      const query = method === "GET" ? "?" + form : "";
      const answer = await fetch(base + path + query, {
        method, headers: { Authorization: "Bearer " + key }, body: method === "GET" ? undefined : form,
      });
      const body = await answer.json();
      return answer.ok ? { paymentIntent: body } : { error: body.error };
    };
    const confirm = async (clientSecret, card, returnUrl) => {
      const fields = { client_secret: clientSecret, "payment_method_data[type]": "card" };
      for (const [name, value] of Object.entries(card)) fields[`payment_method_data[card][${name}]`] = value;
      if (returnUrl) fields.return_url = returnUrl;
      const result = await ask("POST", `/v1/payment_intents/${idOf(clientSecret)}/confirm`, fields);
      const next = result.paymentIntent?.next_action;
      const url = next?.redirect_to_url?.url ?? next?.use_stripe_sdk?.stripe_js;
      if (url) { window.location.assign(url); return new Promise(() => {}); }
      return result;
    };
    return {
      elements: ({ clientSecret, locale = ofStripe }) => ({
        clientSecret,
        create() { return (this.element = new PaymentElement(wordsOf(locale))); },
        getElement() { return this.element ?? null; },
        submit: async () => ({}),
      }),
      async confirmPayment({ elements, clientSecret, confirmParams = {}, redirect = "always" }) {
        const secret = clientSecret ?? elements.clientSecret;
        let result;
        try {
          result = await confirm(secret, elements.element.values(), confirmParams.return_url);
        } catch {
          result = { error: { type: "api_connection_error", message: elements.element.words.away } };
        }
        elements.element.error.textContent = told(result.error, elements.element.words);
        if (result.paymentIntent?.status === "succeeded" && redirect === "always" && confirmParams.return_url) {
          const back = new URL(confirmParams.return_url, window.location);
          back.searchParams.set("payment_intent", result.paymentIntent.id);
          back.searchParams.set("payment_intent_client_secret", secret);
          back.searchParams.set("redirect_status", "succeeded");
          window.location.assign(back);
        }
        return result;
      },
      retrievePaymentIntent: (clientSecret) =>
        ask("GET", `/v1/payment_intents/${idOf(clientSecret)}`, { client_secret: clientSecret }),
    };
  };
})();
"""
ELEMENT_PAGE = (
    _HEAD.replace("Stand-in for the bank", "Pay by card")
    + """<h1>Pay by card</h1><p>A test page: no money moves. Pass <code>?client_secret=…</code>.</p>
<form id="form"><div id="payment"></div><button>Pay</button></form><p id="outcome" role="status"></p>
<script src="/standin/element.js"></script><script>
const clientSecret = new URLSearchParams(location.search).get("client_secret") ?? "";
const stripe = Stripe("pk_test_standin");
const elements = stripe.elements({ clientSecret });
elements.create("payment").mount("#payment");
const show = (intent) => { document.querySelector("#outcome").textContent = intent ? intent.status : ""; };
document.querySelector("#form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const result = await stripe.confirmPayment({ elements, confirmParams: { return_url: location.href },
                                               redirect: "if_required" });
  show(result.paymentIntent ?? result.error?.payment_intent);
});
if (clientSecret) stripe.retrievePaymentIntent(clientSecret).then((found) => show(found.paymentIntent));
</script>"""
)
FILES = {
    "/standin/element.js": ("text/javascript; charset=utf-8", ELEMENT),
    "/standin/element": (HTML, ELEMENT_PAGE),
}
