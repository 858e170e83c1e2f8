// The gallery's page: the filter in the address, the list or the grid that it shows, and the keys.

import { askAll } from "./all.js";
import { get, jobAddress, jobPath, Refused } from "./api.js";
import { Changes } from "./changes.js";
import { Collection } from "./collection.js";
import { showHelp } from "./dialogs.js";
import { byId, element, sign } from "./elements.js";
import { emptyWords } from "./empty.js";
import { chosen, chosenWord, FilterPanel, readFilter, stillMatches, toggled } from "./filters.js";
import { count, counted } from "./format.js";
import { GalleryView, STEPS } from "./gallery_view.js";
import { GridView } from "./grid_view.js";
import { Judging, JUDGING_KEYS } from "./judging.js";
import { listen } from "./keys.js";
import { trouble } from "./messages.js";
import { showOverview } from "./overview.js";
import { choose, setting, tab } from "./settings.js";

const HELP = [
  [["←", "→", "↑", "↓"], "Move from picture to picture"],
  [["Enter", "Space"], "Open the picture, before and after"],
  ...JUDGING_KEYS,
  [["B"], "Before and after together, or after alone"],
  [["-", "+"], "Smaller, larger pictures"],
  [["G"], "Gallery or grid"],
  [["L"], "Show the list anew, when it has changed"],
  [["/"], "Search"],
  [["Home", "End", "PgUp", "PgDn"], "Far moves"],
];

const AGAIN_MS = 2000; // for a server that didn't answer

const looks = { pairs: setting("pairs"), size: setting("size"), query: "" };
const tell = { open, judge: (card, verdict) => give(card, { verdict }, false), moved };
let filter = readFilter(location.search);
let asGrid = new URLSearchParams(location.search).get("view") === "grid";
let overview = null;
let collection = null;
let view = null;
let showing = 0; // which showing is the newest: an older one that comes late is dropped

const judging = new Judging({ apply, known });
const changes = new Changes(renew);
const panel = new FilterPanel(byId("choices"), (changed, { typing }) => {
  // A search that is typed on is one step of the browser's history, not one for each letter.
  const same = typing && filter.has("q") && changed.has("q");
  filter = changed;
  address(same);
  show();
});

function query(extra = {}) {
  const all = new URLSearchParams(filter);
  for (const [name, value] of Object.entries(extra)) all.set(name, value);
  return all.toString();
}

function address(replace) {
  const text = query(asGrid ? { view: "grid" } : {});
  history[replace ? "replaceState" : "pushState"](null, "", text ? `/?${text}` : "/");
}

/** Shows what the filter says; `keep` is the job that stays the current one. */
async function show({ keep = null } = {}) {
  const mine = (showing += 1);
  const place = keep ? await placeOf(keep) : 0;
  const next = new Collection({
    path: asGrid ? "/api/grid" : "/api/jobs",
    query: filter,
    entries: (answer) => (asGrid ? answer.rows : answer.jobs),
    cards: (entry) => (entry.cells ? entry.cells.filter(Boolean) : [entry]),
    matches: (card) => asGrid || stillMatches(filter, card),
    changed: (places) => collection === next && (view.redraw(places), showCount()),
    settled: () => judging.sending,
  });
  try {
    await Promise.all([next.open(asGrid ? 0 : place), overview ?? look()]);
  } catch (error) {
    if (mine !== showing || !(error instanceof Refused)) return;
    if (error.status !== 0) trouble(error.message);
    else setTimeout(() => mine === showing && show({ keep }), AGAIN_MS);
    return;
  }
  if (mine !== showing) return next.end();
  collection?.end();
  view?.end();
  collection = next;
  changes.know(next.version);
  looks.query = query();
  const scroller = byId("scroller");
  scroller.scrollTop = 0;
  view = asGrid
    ? new GridView(scroller, next, tell, looks, byId("head"))
    : new GalleryView(scroller, next, tell, looks);
  if (keep && asGrid) view.current = Math.max(0, next.placeOf(keep)) * view.columns;
  else view.current = place;
  view.draw();
  showTools();
}

async function placeOf(jobId) {
  if (asGrid) return 0;
  try {
    const job = await get(jobPath(jobId, query()));
    return Math.min(job.position ?? 0, Math.max(0, (job.total ?? 1) - 1));
  } catch {
    return 0; // gone from the manifest
  }
}

async function look() {
  overview = await get("/api/overview");
  judging.user = overview.user;
  judging.readOnly = overview.read_only;
  showOverview(overview);
  panel.show(overview, filter);
  for (const option of document.querySelectorAll("#sort [value^=fidelity]")) option.hidden = !overview.has_fidelity;
  if (overview.read_only) trouble(overview.read_only);
}

/** Something is new on the server: shown where it is, without moving anything. */
async function renew() {
  await look();
  if (!collection) return;
  await collection.renew(...view.sight());
  showTools();
}

function showTools() {
  panel.show(overview, filter);
  showCount();
  byId("views").hidden = !overview.has_grid && !asGrid;
  byId("view-grid").setAttribute("aria-pressed", String(asGrid));
  byId("view-gallery").setAttribute("aria-pressed", String(!asGrid));
  byId("pairs").setAttribute("aria-pressed", String(looks.pairs));
  byId("pairs").hidden = asGrid;
  const order = filter.get("sort") ?? "manifest";
  byId("sort").value = filter.get("descending") ? `${order}:descending` : order;
  byId("sort").parentElement.hidden = asGrid;
  showChips();
  const none = collection.total === 0;
  byId("empty").hidden = !none;
  byId("scroller").hidden = none;
  byId("head").hidden = none || !asGrid;
  if (none) byId("empty").replaceChildren(...emptyWords(overview, { filter, asGrid, clear }));
}

function showCount() {
  if (!overview) return;
  const whole = overview.jobs.total;
  const shown = asGrid
    ? counted(collection.total, "input")
    : collection.total === whole
      ? counted(whole, "job")
      : `${count(collection.total)} of ${counted(whole, "job")}`;
  byId("count").textContent = shown;
  const away = collection.away.size;
  const renewButton = byId("renew");
  renewButton.hidden = away === 0 && !collection.stale;
  renewButton.textContent = collection.stale
    ? "The list has changed: show it anew"
    : `${count(away)} judged here: take them off the list`;
  renewButton.title = "L";
  const left = collection.pictures; // as the server counts them now, those judged away left out
  byId("judge-all").hidden = asGrid || left === 0 || Boolean(overview.read_only);
  byId("judge-all").replaceChildren(
    element("span", {}, "Judge all", element("span", { class: "wide-only" }, ` ${count(left)}`), "…"),
  );
}

function showChips() {
  const chips = chosen(filter).map(([name, value]) => {
    const word = chosenWord(name, value);
    const about = name.startsWith("row.") ? `${name.slice(4)}: ${word}` : word;
    return element(
      "button",
      {
        type: "button",
        class: "chip",
        "aria-label": `Without ${about}`,
        title: about,
        onclick: () => without(name, value),
      },
      element("span", {}, about),
      sign("rejected"),
    );
  });
  if (chips.length > 1) chips.push(element("button", { type: "button", class: "quiet", onclick: clear }, "Clear all"));
  byId("chips").replaceChildren(...chips);
  byId("chips").hidden = chips.length === 0;
  const number = chosen(filter).length;
  byId("open-filters").replaceChildren(sign("filter"), number ? ` Filters (${number})` : " Filters");
}

function without(name, value) {
  filter = toggled(filter, name, value);
  address(false);
  show();
}

function clear() {
  for (const [name] of chosen(filter)) filter.delete(name);
  address(false);
  show();
}

// What somebody does.

async function open(card) {
  if (!card) return;
  tab.set("job", card.job_id);
  await judging.sending; // what has not left goes with the page
  location.href = jobAddress(card.job_id, query());
}

function moved(card) {
  if (card) tab.set("job", card.job_id);
}

function apply(picture, change) {
  if (!collection) return;
  view.redraw(collection.change(picture, change));
  showCount();
}

let soon = null;
function known() {
  // The version stays the one that the page shows: another browser may have said something as well.
  clearTimeout(soon);
  soon = setTimeout(() => look().catch(() => {}), 150); // the counts, once for several quick verdicts
}

function give(card, change, onwards) {
  if (judging.give(card, change) && onwards && setting("advance")) view.move(1);
}

async function note() {
  const card = view?.card();
  if (!card) return;
  const change = await judging.note(card);
  if (change?.verdict && setting("advance")) view.move(1);
}

async function undo() {
  const { jobId, pictures } = await judging.undo();
  for (const picture of pictures) collection.comeBack(picture);
  await renew().catch(() => {});
  const place = jobId ? collection.placeOf(jobId) : -1;
  if (place >= 0 && !asGrid) view.go(place);
}

async function judgeAll() {
  const judged = await askAll(judging, { filter, query: query(), pictures: collection.pictures });
  if (!judged) return;
  await look();
  show({ keep: view.card()?.job_id });
}

function resize(step) {
  looks.size = Math.max(0, Math.min(STEPS - 1, looks.size + step));
  choose("size", looks.size);
  view?.draw();
}

function togglePairs() {
  looks.pairs = !looks.pairs;
  choose("pairs", looks.pairs);
  byId("pairs").setAttribute("aria-pressed", String(looks.pairs));
  view?.draw();
}

function turn(grid) {
  if (grid === asGrid || (grid && !overview?.has_grid)) return;
  asGrid = grid;
  address(false);
  show({ keep: view?.card()?.job_id });
}

function openFilters(opened) {
  document.body.classList.toggle("with-filters", opened);
  byId("open-filters").setAttribute("aria-expanded", String(opened));
}

const onwards = (act) => () => view && act();
listen({
  ArrowLeft: onwards(() => view.move(-1)),
  ArrowRight: onwards(() => view.move(1)),
  ArrowUp: onwards(() => view.move(-view.columns)),
  ArrowDown: onwards(() => view.move(view.columns)),
  Home: onwards(() => view.go(0)),
  End: onwards(() => view.go(view.places - 1)),
  PageUp: onwards(() => view.movePage(-1)),
  PageDown: onwards(() => view.movePage(1)),
  Enter: onwards(() => open(view.card())),
  " ": onwards(() => open(view.card())),
  a: onwards(() => give(view.card(), { verdict: "approved" }, true)),
  r: onwards(() => give(view.card(), { verdict: "rejected" }, true)),
  "Shift+a": onwards(() => give(view.card(), { verdict: "approved" }, false)),
  "Shift+r": onwards(() => give(view.card(), { verdict: "rejected" }, false)),
  n: onwards(() => give(view.card(), { verdict: null }, false)),
  e: note,
  u: undo,
  b: togglePairs,
  g: () => turn(!asGrid),
  l: () => show({ keep: view?.card()?.job_id }),
  "-": () => resize(-1),
  "+": () => resize(1),
  "=": () => resize(1),
  "/": () => (openFilters(true), byId("search").focus()),
  "?": () => showHelp(HELP),
  Escape: () => openFilters(false),
});
for (const [id, act] of Object.entries({
  help: () => showHelp(HELP),
  "view-gallery": () => turn(false),
  "view-grid": () => turn(true),
  pairs: togglePairs,
  smaller: () => resize(-1),
  larger: () => resize(1),
  renew: () => show({ keep: view?.card()?.job_id }),
  "judge-all": judgeAll,
  "close-filters": () => openFilters(false),
  "open-filters": () => openFilters(!document.body.classList.contains("with-filters")),
}))
  byId(id).addEventListener("click", act);
byId("sort").addEventListener("change", (event) => {
  const [order, descending] = event.target.value.split(":");
  filter.set("sort", order);
  if (descending) filter.set("descending", "1");
  else filter.delete("descending");
  if (order === "manifest") filter.delete("sort");
  address(false);
  show({ keep: view?.card()?.job_id });
});
window.addEventListener("popstate", () => {
  filter = readFilter(location.search);
  asGrid = new URLSearchParams(location.search).get("view") === "grid";
  show();
});
window.addEventListener("pageshow", (event) => event.persisted && show({ keep: tab.get("job") }));

// Coming back from a job's page, that job is the current one again.
const coming = tab.get("back");
tab.set("back", null);
await show({ keep: coming ?? null });
byId("scroller").focus({ preventScroll: true });
