// The scanner: asks without leaving the page, so that the camera goes on, and reads codes where the browser can.
const form = document.querySelector("#scan");
const error = document.querySelector("#scan-error");
const camera = document.querySelector("#camera");
const view = document.querySelector("#view");
const SAME_CODE_AFTER = 4000; // a ticket that is still before the camera is not asked about again
const LOOK_EVERY = 150;

let busy = false;

// Takes over what the answer has of the page: the verdict, and the fields with the next scan's key.
function take(text) {
  const next = new DOMParser().parseFromString(text, "text/html");
  const found = next.querySelector("#result");
  if (!found) return false;
  document.title = next.title;
  document.querySelector("#result").replaceChildren(...found.childNodes);
  const fields = document.querySelector("#fields");
  fields.replaceChildren(...next.querySelector("#fields").childNodes);
  form.querySelector("button").textContent = next.querySelector("#scan button").textContent;
  const code = form.elements.code;
  code.focus();
  code.select();
  return true;
}

async function ask() {
  if (busy) return;
  busy = true;
  error.textContent = "";
  try {
    const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    if (answer.redirected || !take(await answer.text())) form.submit(); // signed out, say: the page tells it
  } catch {
    document.querySelector("#result").replaceChildren(); // the last answer is not this one's
    error.textContent = error.dataset.away;
  } finally {
    busy = false;
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});

// The camera

let stream;

function stop() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = undefined;
  view.hidden = true;
  [camera.textContent, camera.dataset.stop] = [camera.dataset.stop, camera.textContent];
}

async function look(detector) {
  let last = "";
  let seen = 0;
  while (stream) {
    const codes = busy ? [] : await detector.detect(view).catch(() => []);
    const code = codes[0]?.rawValue;
    const now = Date.now();
    if (code && (code !== last || now - seen > SAME_CODE_AFTER)) {
      last = code;
      form.elements.code.value = code;
      await ask();
    }
    if (code) seen = Date.now();
    await new Promise((resume) => setTimeout(resume, LOOK_EVERY));
  }
}

async function start(detector) {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch {
    error.textContent = error.dataset.denied;
    return;
  }
  view.srcObject = stream;
  view.hidden = false;
  view.play().catch(() => {}); // until there are pictures, nothing is found in them
  [camera.textContent, camera.dataset.stop] = [camera.dataset.stop, camera.textContent];
  look(detector);
}

if ("BarcodeDetector" in window && navigator.mediaDevices?.getUserMedia) {
  const detector = new window.BarcodeDetector({ formats: ["qr_code"] });
  camera.hidden = false;
  camera.addEventListener("click", () => (stream ? stop() : start(detector)));
}
