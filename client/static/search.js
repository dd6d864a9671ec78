// Search as you type: asks for the same page, and takes over its results.
const form = document.querySelector("#filters");
const PAUSE = 180;
let waiting;
let asking;

function address() {
  const query = new URLSearchParams(new FormData(form));
  for (const [name, value] of [...query]) if (!value || (name === "sort" && value === "dateUtc")) query.delete(name);
  const text = query.toString();
  return text ? `${form.action}?${text}` : form.action;
}

async function update() {
  asking?.abort();
  asking = new AbortController();
  const target = address();
  const results = document.querySelector("#results");
  results.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(target, { signal: asking.signal });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.querySelector("#results");
    // A challenge or an error has no results: that page is to be seen itself.
    if (!found) return location.assign(target);
    results.replaceChildren(...found.childNodes);
    history.replaceState(null, "", target);
    results.removeAttribute("aria-busy");
  } catch (error) {
    if (error.name !== "AbortError") results.removeAttribute("aria-busy");
  }
}

if (form) {
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(update, PAUSE);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(waiting);
    update();
  });
}
