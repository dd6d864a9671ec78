// Stripe's payment element: the card goes from the browser to Stripe, and nowhere else.
const form = document.querySelector("#payment");
const button = form.querySelector("button");
const error = document.querySelector("#payment-error");

function tell(text) {
  error.textContent = text;
  button.disabled = false;
}

if (typeof window.Stripe !== "function") tell(form.dataset.away);
else {
  const stripe = window.Stripe(form.dataset.key, { locale: form.dataset.locale });
  const elements = stripe.elements({ clientSecret: form.dataset.secret, locale: form.dataset.locale });
  elements.create("payment").mount("#card");
  button.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    error.textContent = "";
    const result = await stripe.confirmPayment({ elements, confirmParams: { return_url: form.dataset.return } });
    // Only what went wrong comes back here; everything else goes to the return address.
    if (result?.error) tell(form.dataset.failed);
  });
}
