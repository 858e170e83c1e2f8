// The page of the run: how it stands now, what it did, and the one thing that can be done about it.

import { get, post } from "./api.js";
import { byId } from "./elements.js";
import { counted } from "./format.js";
import { say, trouble } from "./messages.js";
import { showRun } from "./run_view.js";

const AGAIN_MS = 2000; // for a server that didn't answer

let known = null;

function show(live) {
  known = live;
  showRun(live);
  byId("stop").hidden = !live.can_stop;
  if (!live.can_stop) byId("stop-dialog").close();
  trouble(live.outdated);
}

function listen() {
  const source = new EventSource("/api/run/events");
  source.addEventListener("live", (event) => show(JSON.parse(event.data)));
  source.addEventListener("trouble", (event) => trouble(JSON.parse(event.data).error));
  source.addEventListener("error", async () => {
    source.close();
    try {
      show(await get("/api/run")); // which tells whether the server is gone, or the session over
    } catch (error) {
      if (error.status === 403) return;
    }
    setTimeout(listen, AGAIN_MS);
  });
}

byId("stop").addEventListener("click", () => {
  const { in_flight: inFlight } = known.status;
  byId("stop-about").textContent =
    `${counted(inFlight, "request")} in flight ${inFlight === 1 ? "is" : "are"} paid for and will be finished; nothing ` +
    "more is started. Running the same command again resumes.";
  byId("stop-dialog").showModal();
});
byId("stop-dialog").addEventListener("click", async (event) => {
  const act = event.target.dataset.act;
  if (!act) return;
  byId("stop-dialog").close();
  if (act !== "stop") return;
  try {
    show(await post("/api/run/stop", { run_id: known.status.run_id }));
    say("The run has been told to stop.");
  } catch (error) {
    say(error.message);
  }
});

listen();
