// Follows a reservation: asks, waits for the answer, and goes on when its status is another.
const place = document.querySelector("[data-follow]");
const PAUSE_MIN = 1000;
const PAUSE_MAX = 15000;
// Who sends a form is on the way to another page already, where the answer to it stands.
let leaving = false;
addEventListener("submit", () => { leaving = true; });

async function follow() {
  const known = new URL(place.dataset.follow, location.href).searchParams.get("known");
  let pause = PAUSE_MIN;
  for (;;) {
    try {
      const answer = await fetch(place.dataset.follow, { headers: { Accept: "application/json" } });
      if (answer.ok) {
        const { status } = await answer.json();
        if (leaving) return;
        if (status !== known) return location.replace(place.dataset.then);
        pause = PAUSE_MIN;
      } else pause = Math.min(PAUSE_MAX, pause * 2);
    } catch {
      pause = Math.min(PAUSE_MAX, pause * 2);
    }
    await new Promise((resume) => setTimeout(resume, pause));
  }
}

if (place) follow();
