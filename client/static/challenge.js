// The proof of work of https://altcha.org (version 2, PBKDF2): finds the counter whose key begins as wanted.
const form = document.querySelector("#challenge");
const status = form.querySelector("[role=status]");
const bar = form.querySelector("progress");
const AT_ONCE = 8;
const COUNTERS_MAX = 1e6;

const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const hex = (buffer) => [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

async function derive(parameters, nonce, salt, counter) {
  const password = new Uint8Array(nonce.length + 4);
  password.set(nonce);
  new DataView(password.buffer).setUint32(nonce.length, counter);
  const key = await crypto.subtle.importKey("raw", password, "PBKDF2", false, ["deriveBits"]);
  const hash = parameters.algorithm.split("/")[1] ?? "SHA-256";
  const options = { name: "PBKDF2", hash, salt, iterations: parameters.cost };
  return hex(await crypto.subtle.deriveBits(options, key, parameters.keyLength * 8));
}

async function solve({ parameters }) {
  const begun = performance.now();
  const [nonce, salt] = [bytes(parameters.nonce), bytes(parameters.salt)];
  for (let first = 0; first < COUNTERS_MAX; first += AT_ONCE) {
    const counters = Array.from({ length: AT_ONCE }, (_, index) => first + index);
    const keys = await Promise.all(counters.map((counter) => derive(parameters, nonce, salt, counter)));
    const found = keys.findIndex((key) => key.startsWith(parameters.keyPrefix.toLowerCase()));
    // How long it takes is a matter of luck; the bar only shows that it goes on.
    bar.value = 100 * (1 - Math.exp(-first / 1000));
    if (found >= 0) return { counter: first + found, derivedKey: keys[found], time: performance.now() - begun };
  }
  throw new Error("no solution");
}

try {
  const challenge = JSON.parse(form.dataset.challenge);
  const solution = await solve(challenge);
  form.elements["challenge-solution"].value = btoa(JSON.stringify({ challenge, solution }));
  bar.value = 100;
  status.textContent = status.dataset.done;
  form.submit();
} catch {
  status.textContent = status.dataset.failed;
}
