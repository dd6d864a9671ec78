// How long a hold lasts. The moment is the server's; a clock that goes wrong here is set by the answer's Date.
const place = document.querySelector("[data-until]");

async function clockError() {
  try {
    const asked = Date.now();
    const answer = await fetch("/robots.txt", { method: "HEAD", cache: "no-store" });
    const told = Date.parse(answer.headers.get("Date") ?? "");
    const error = told - (asked + Date.now()) / 2;
    // The header has whole seconds: small differences say nothing.
    return Number.isFinite(error) && Math.abs(error) > 1500 ? error : 0;
  } catch {
    return 0;
  }
}

if (place) {
  const until = Date.parse(place.dataset.until);
  const error = await clockError();
  const show = () => {
    const left = Math.max(0, Math.ceil((until - Date.now() - error) / 1000));
    place.hidden = false;
    place.classList.toggle("late", left < 60);
    const minutes = String(Math.floor(left / 60)).padStart(2, "0");
    place.textContent = left ? `${minutes}:${String(left % 60).padStart(2, "0")}` : place.dataset.over;
    if (left) setTimeout(show, 1000 - (Date.now() % 1000));
  };
  show();
}
