// A job's page: its picture before and after, its verdict, and the way to the next.

import { get, jobAddress, jobPath } from "./api.js";
import { Changes } from "./changes.js";
import { showHelp } from "./dialogs.js";
import { byId, element } from "./elements.js";
import { readFilter } from "./filters.js";
import { count, words } from "./format.js";
import { Judging, JUDGING_KEYS, samePicture } from "./judging.js";
import { listen } from "./keys.js";
import { say, speak, trouble } from "./messages.js";
import { drawPanel } from "./panel.js";
import { setting, tab } from "./settings.js";
import { MODES, Stage } from "./stage.js";

const HELP = [
  [["←", "→"], "Former, next job of the gallery's list"],
  ...JUDGING_KEYS,
  [["Space"], "100 %, or all of the picture"],
  [["Shift ←↑↓→"], "Look at another part of it"],
  [["1", "2", "3", "4"], "Slider, side by side, difference, after alone"],
  [["[", "]"], "Move the divider of the slider"],
  [["C"], "Compare with the next: inputs, mask, former pictures"],
  [["Esc"], "Back to the gallery"],
];
const AGAIN_MS = 2000; // for a server that didn't answer
const SHOWN_MS = 400; // how long the former job stays while the picture of the next is loading

const filter = readFilter(location.search);
const query = filter.toString();
const known = new Map(); // of jobs seen here, and of the next one: [answer, its loading]
const links = new Map(); // former and next when a job was first seen: judged away, it must stay on the way back
let overview = null;
let job = null;
let against = 0;
let ready = false; // whether the picture in sight is the job's: keys pressed before that judge nothing
let moving = 0;
let given = 0; // verdicts shown, so that an older answer doesn't take one off the page

const stage = new Stage(byId("stage"), { turned: showModes });
const changes = new Changes(renew);
const judging = new Judging({ apply, known: () => {} });

function fetchJob(jobId) {
  if (!known.has(jobId))
    known.set(
      jobId,
      get(jobPath(jobId, query)).catch((error) => (known.delete(jobId), Promise.reject(error))),
    );
  return known.get(jobId);
}

function link(answer) {
  if (!links.has(answer.job_id)) links.set(answer.job_id, { previous: answer.previous, next: answer.next });
  return links.get(answer.job_id);
}

/** Shows a job. Its picture and its words change together, so that no verdict meets the wrong one. */
async function show(jobId) {
  const mine = (moving += 1);
  ready = false;
  delete byId("stage").dataset.ready;
  let answer;
  try {
    answer = await fetchJob(jobId);
  } catch (error) {
    if (mine !== moving) return;
    if (error.status === 404) gone(jobId, error.message);
    else if (job)
      ready = true; // it stays in sight; messages.js says what is the matter
    else setTimeout(() => mine === moving && show(jobId), AGAIN_MS);
    return;
  }
  await Promise.race([loaded(answer.image), new Promise((resolve) => setTimeout(resolve, SHOWN_MS))]);
  if (mine !== moving) return;
  job = answer;
  against = 0;
  const way = link(answer);
  tab.set("back", jobId);
  tab.set("job", jobId);
  const path = jobAddress(jobId, query);
  if (location.pathname + location.search !== path) history.replaceState(null, "", path);
  draw();
  ready = true;
  byId("stage").dataset.ready = "";
  speak(`${job.job_id}, ${job.verdict ?? "to judge"}`);
  await prepare(way.next);
}

/** Has the next job and its pictures at hand. */
async function prepare(jobId) {
  const next = jobId && (await fetchJob(jobId).catch(() => null));
  if (!next) return;
  link(next);
  for (const url of [next.image, sides(next)[0]?.url]) if (url) new Image().src = url;
}

function loaded(url) {
  if (!url) return Promise.resolve();
  const image = new Image();
  image.src = url;
  return image.decode().catch(() => {});
}

function draw() {
  byId("job-id").textContent = job.job_id;
  document.title = `${job.job_id} · review`;
  byId("to-gallery").href = query ? `/?${query}` : "/";
  const way = link(job);
  byId("previous").disabled = !way.previous;
  byId("next").disabled = !way.next;
  byId("position").textContent = Number.isInteger(job.position)
    ? `${count(job.position + 1)} / ${count(Math.max(job.total, job.position + 1))}`
    : "";
  byId("stage").setAttribute("aria-label", `${job.job_id}, before and after`);
  drawSides();
  drawJobPanel();
  showModes();
}

function drawJobPanel() {
  drawPanel(byId("panel"), job, { query, act: panelAct });
  document.body.dataset.verdict = job.sha256 ? (job.verdict ?? "none") : "unmade";
}

/** What the picture can be compared with: its inputs, its mask, its former pictures. */
function sides(of) {
  const inputs = of.inputs.map((input, place) => ({
    key: `input:${place}`,
    url: input.url,
    label: of.inputs.length > 1 ? `Before ${place + 1}` : "Before",
    about: input.name ?? input.label,
    thumb: input.thumb,
  }));
  const mask = of.mask
    ? [{ key: "mask", url: of.mask.url, label: "Mask", about: of.mask.name ?? "Mask", thumb: of.mask.thumb }]
    : [];
  const former = (of.former ?? []).map((each, place) => ({
    key: `former:${place}`,
    url: each.url,
    label: each.label,
    about: each.label,
    thumb: each.thumb,
  }));
  return [...inputs, ...mask, ...former];
}

function drawSides() {
  const all = sides(job);
  const side = all[against] ?? null;
  stage.show({
    before: side && { ...side },
    after: job.image ? { url: job.image, label: "After", width: job.width, height: job.height } : null,
    words: stateWords(),
  });
  const strip = byId("strip");
  strip.hidden = all.length < 2;
  strip.replaceChildren(
    ...all.map((each, place) =>
      element(
        "button",
        { type: "button", title: each.about, "aria-pressed": String(place === against), onclick: () => compare(place) },
        element("img", {
          src: each.thumb ?? each.url,
          alt: "",
          onerror: (event) => event.target.removeAttribute("src"),
        }),
        element("span", {}, each.label),
      ),
    ),
  );
}

function stateWords() {
  if (job.status === "pending") return "This picture isn't made yet.";
  if (job.status === "unknown")
    return "Unknown: the last attempt may have been billed, and won't be sent again by itself.";
  return job.error_kind ? `No picture: ${words(job.error_kind)}.` : "No picture.";
}

function compare(place) {
  against = place;
  drawSides();
  showModes();
}

function showModes() {
  for (const button of document.querySelectorAll("[data-mode]")) {
    button.setAttribute("aria-pressed", String(button.dataset.mode === stage.shown));
    button.disabled = !stage.canCompare;
  }
  byId("zoom").setAttribute("aria-pressed", String(stage.zoomed));
}

function gone(jobId, message) {
  byId("job-id").textContent = jobId;
  byId("stage").replaceChildren(element("div", { class: "words" }, message));
  byId("panel").replaceChildren();
  for (const button of document.querySelectorAll("#previous, #next, #zoom, [data-mode]")) button.disabled = true;
}

/** Something is new on the server: this job is asked for again, and its neighbours when their turn comes. */
async function renew() {
  if (!job) return;
  await judging.sending; // what it answers before that is older than what is shown
  const jobId = job.job_id;
  const acts = given;
  known.clear();
  const answer = await fetchJob(jobId);
  if (!ready || job.job_id !== jobId || acts !== given) return;
  const same = answer.sha256 === job.sha256 && (answer.former ?? []).length === (job.former ?? []).length;
  job = { ...answer, position: job.position, total: job.total };
  if (same) drawJobPanel();
  else draw();
  await prepare(link(job).next);
}

function apply(picture, change) {
  given += 1;
  for (const loading of known.values())
    loading.then(
      (each) => samePicture(each, picture) && Object.assign(each, change),
      () => {},
    );
  if (job && samePicture(job, picture)) {
    Object.assign(job, change);
    drawJobPanel();
  }
}

// What somebody does.

function move(direction) {
  if (!job) return;
  const way = link(job)[direction];
  if (!way) {
    say(direction === "next" ? "That was the last one of the list." : "That was the first one of the list.");
    return;
  }
  const here = job.job_id;
  show(way).then(() => {
    if (job.job_id === way) links.get(way)[direction === "next" ? "previous" : "next"] = here;
    byId(direction === "next" ? "previous" : "next").disabled = false;
  });
}

function give(change, onwards) {
  if (!ready || !judging.give(job, change)) return;
  if (onwards && setting("advance")) move("next");
}

async function note() {
  if (!ready) return;
  const change = await judging.note(job);
  if (change?.verdict && setting("advance")) move("next");
}

async function undo() {
  const { jobId } = await judging.undo();
  known.clear();
  if (jobId && jobId !== job?.job_id) await show(jobId);
  else await renew().catch(() => {});
}

function panelAct(name, value) {
  if (name === "verdict") give({ verdict: value }, false);
  else if (name === "note") note();
  else compare(sides(job).findIndex((side) => side.key === value));
}

async function back() {
  await judging.sending; // what has not left goes with the page
  location.href = byId("to-gallery").href;
}

listen({
  ArrowLeft: () => move("previous"),
  ArrowRight: () => move("next"),
  a: () => give({ verdict: "approved" }, true),
  r: () => give({ verdict: "rejected" }, true),
  "Shift+a": () => give({ verdict: "approved" }, false),
  "Shift+r": () => give({ verdict: "rejected" }, false),
  n: () => give({ verdict: null }, false),
  e: note,
  u: undo,
  " ": () => stage.zoom(!stage.zoomed),
  z: () => stage.zoom(!stage.zoomed),
  "Shift+ArrowLeft": () => stage.pan(-1, 0),
  "Shift+ArrowRight": () => stage.pan(1, 0),
  "Shift+ArrowUp": () => stage.pan(0, -1),
  "Shift+ArrowDown": () => stage.pan(0, 1),
  "[": () => stage.divide(-1),
  "]": () => stage.divide(1),
  c: () => job && compare((against + 1) % Math.max(1, sides(job).length)),
  ...Object.fromEntries(MODES.map((mode, place) => [String(place + 1), () => stage.turn(mode)])),
  g: back,
  Escape: back,
  "?": () => showHelp(HELP),
});
byId("help").addEventListener("click", () => showHelp(HELP));
byId("previous").addEventListener("click", () => move("previous"));
byId("next").addEventListener("click", () => move("next"));
byId("zoom").addEventListener("click", () => stage.zoom(!stage.zoomed));
for (const button of document.querySelectorAll("[data-mode]"))
  button.addEventListener("click", () => stage.turn(button.dataset.mode));

get("/api/overview").then(
  (answer) => {
    overview = answer;
    judging.user = overview.user;
    judging.readOnly = overview.read_only;
    changes.know(overview.version);
    if (overview.read_only) trouble(overview.read_only);
  },
  () => {},
);
await show(decodeURIComponent(location.pathname.slice("/job/".length)));
