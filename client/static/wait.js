// The waiting room: asks now and then how the line is, which also keeps the place, and goes on when the turn has come.
const room = document.querySelector("[data-wait]");
const position = document.querySelector("#position");
const estimate = document.querySelector("#estimate");
// A place for which nobody asks for half a minute is lost: also after a failure ask sooner.
const PAUSE_MAX = 12;

async function follow() {
  let pause = Number(room.dataset.poll);
  for (;;) {
    await new Promise((resume) => setTimeout(resume, pause * 1000));
    try {
      const answer = await fetch(room.dataset.wait, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(answer.statusText);
      const line = await answer.json();
      if (line.state !== "waiting") return location.reload();
      position.textContent = new Intl.NumberFormat(`${position.dataset.locale}-u-nu-latn`).format(line.position);
      // Said aloud only when it is another one.
      if (estimate.textContent !== line.estimate) estimate.textContent = line.estimate;
      pause = line.pollSeconds;
    } catch {
      pause = Math.max(pause, Math.min(PAUSE_MAX, pause * 2));
    }
  }
}

follow();
