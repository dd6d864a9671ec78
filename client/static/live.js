// Live numbers: follows the shop's stream and writes what changes into the page.
const root = document.querySelector("[data-live]");
const announce = document.querySelector("#announce");
const SAY_AFTER = 2000; // a screen reader hears of the last change, not of each

let words;
let saying;

function say(category, count) {
  if (!announce) return;
  words ??= announce.dataset.words;
  clearTimeout(saying);
  saying = setTimeout(() => {
    announce.textContent = words.replace("NUMBER", category).replace("COUNT", count);
  }, SAY_AFTER);
}

function show(status, name) {
  if (!status || status.classList.contains(name)) return;
  status.className = `status ${name}`;
  status.textContent = status.getAttribute(`data-words-${name}`);
}

// One match: a row for each category.
function showPool(pool) {
  const row = document.querySelector(`[data-pool="${pool.category}"]`);
  if (!row) return;
  const number = row.querySelector(".number");
  const text = new Intl.NumberFormat(`${number.dataset.locale}-u-nu-latn`).format(pool.pending);
  if (number.textContent !== text) {
    number.textContent = text;
    row.classList.remove("changed");
    void row.offsetWidth; // lets the highlight begin again
    row.classList.add("changed");
    say(pool.category, text);
  }
  show(row.querySelector(".status"), pool.status);
}

// A list: one word for the best category of each match.
const known = new Map();

function showMatch(event) {
  const pools = known.get(event.matchNumber) ?? new Map();
  for (const pool of event.categories) pools.set(pool.category, pool.status);
  known.set(event.matchNumber, pools);
  const statuses = [...pools.values()];
  const best = ["available", "temporarily_unavailable"].find((name) => statuses.includes(name)) ?? "sold_out";
  show(document.querySelector(`[data-match="${event.matchNumber}"] .status`), best);
}

const COME_BACK = [5000, 15000]; // those who were refused together do not come back together
const lost = document.querySelector("#lost");

let stream;
let comingBack;

// Says beside the numbers whether they can still be believed.
function setLost(isLost) {
  lost.hidden = !isLost;
  document.documentElement.dataset.followed = isLost ? "no" : "yes";
}

function follow() {
  leave();
  stream = new EventSource(root.dataset.live);
  stream.addEventListener("availability", (message) => {
    const event = JSON.parse(message.data);
    if (document.querySelector("[data-pool]")) event.categories.forEach(showPool);
    else showMatch(event);
    setLost(false);
  });
  stream.addEventListener("open", () => setLost(false));
  stream.addEventListener("unavailable", () => setLost(true));
  stream.addEventListener("error", () => {
    setLost(true);
    // A browser takes up a stream again that broke, but not one that was refused.
    if (stream.readyState !== EventSource.CLOSED) return;
    const [least, most] = COME_BACK;
    comingBack = setTimeout(follow, least + Math.random() * (most - least));
  });
}

function leave() {
  clearTimeout(comingBack);
  stream?.close();
}

if (root) {
  // A page that nobody looks at holds no connection.
  if (!document.hidden) follow();
  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : follow()));
  addEventListener("pagehide", leave);
  addEventListener("pageshow", (event) => event.persisted && follow());
}
