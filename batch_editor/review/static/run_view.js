// What the page of the run shows of an answer: words, tiles, tables, pictures.

import { jobAddress } from "./api.js";
import { groupRows, timeRows } from "./course.js";
import { byId, element } from "./elements.js";
import { count, counted, duration, money, pace, seconds, words } from "./format.js";
import { showPlots } from "./plots.js";

export function showRun(live) {
  const { figures, status } = live;
  byId("run").hidden = false;
  document.title = title(live);
  setText(byId("state"), live.words);
  byId("state").className = `is-${live.state}`;
  fill(byId("slow"), (live.state === "running" ? status.slow : []).map((reason) => element("li", {}, reason.message)));
  fill(byId("tiles"), tiles(live));
  showFailures(live);
  showLatest(live.latest);
  byId("course").hidden = !figures;
  byId("groups").hidden = !figures?.groups.length;
  if (!figures) return;
  const runs = figures.runs > 1 ? `${counted(figures.runs, "run")} that resumed one another, counted as one: ` : "";
  setText(byId("course-about"), `${runs}${duration(figures.elapsed_s)} of work, plan: ${planWords(figures.plan)}.`);
  showPlots(figures, live.state === "running" ? status : null);
  table("numbers", timeRows(figures));
  table("groups", groupRows(figures));
}

function title({ state, jobs }) {
  const done = jobs.total ? Math.floor((100 * (jobs.total - jobs.pending)) / jobs.total) : 0;
  const about = { running: `${done} %`, died: "died", ended: "ended" }[state] ?? state;
  return `Run (${about}): ${byId("run").ownerDocument.querySelector("h1").textContent}`;
}

function planWords(plan) {
  return `${counted(plan.requests, "image")}, ${money(plan.usd)}, ${duration(plan.s)}`;
}

function tiles(live) {
  const { jobs, status, figures, state, run } = live;
  const made = [];
  const parts = [
    [jobs.succeeded, "succeeded", "approved"],
    [jobs.failed, "failed", "failed"],
    [jobs.unknown, "unknown", "failed"],
    [jobs.pending, "pending", "unmade"],
  ];
  made.push(
    tile(
      "Jobs",
      `${count(jobs.succeeded)} of ${count(jobs.total)}`,
      parts.slice(1).filter(([number]) => number > 0).map(([number, word]) => `${count(number)} ${word}`),
      bar(parts.map(([number, , kind]) => [number, kind])),
    ),
  );
  const sums = figures?.sums;
  const confirmed = sums?.confirmed_usd ?? status?.confirmed_usd ?? 0;
  const possibly = sums?.possibly_usd ?? status?.possibly_billed_usd ?? 0;
  const reserved = status && state !== "died" ? status.reserved_usd : (sums?.open_usd ?? 0);
  const budget = status?.budget_usd ?? null;
  made.push(
    tile(
      run?.sandbox ? "By the price list; nothing is paid" : `Money of ${whose(live)}, confirmed`,
      cents(confirmed),
      [
        `up to ${cents(possibly)} more possibly billed`,
        reserved > 0 ? `${cents(reserved)} reserved for what ${state === "died" ? "was in flight" : "is in flight or about to leave"}` : null,
        budget !== null ? `budget ${cents(budget)}, ${cents(status.spent_usd)} of it counted as spent` : null,
      ],
      budget !== null &&
        bar([
          [status.spent_usd, "approved"],
          [status.reserved_usd, "failed"],
          [Math.max(0, budget - status.spent_usd - status.reserved_usd), "unmade"],
        ]),
    ),
  );
  if (!status) {
    if (sums?.p50_s !== null && sums !== undefined)
      made.push(tile("Half of the images within", seconds(sums.p50_s), [`95 % within ${seconds(sums.p95_s)}`]));
    return made;
  }
  if (state === "died") return made;
  const lowered = status.allowed_per_min < status.limit_per_min ? [`lowered to ${pace(status.allowed_per_min)} a minute`] : [];
  made.push(
    tile("Requests in the last minute", count(status.sent_last_minute), [`limit ${status.limit}`, ...lowered], [
      bar([
        [Math.min(status.sent_last_minute, status.limit_per_min), "approved"],
        [Math.max(0, status.limit_per_min - status.sent_last_minute), "unmade"],
      ]),
    ]),
    tile("In flight", count(status.in_flight), [`at most ${count(status.concurrency)}`, `${count(status.sent)} sent, ${count(status.retried)} of them again`]),
    tile("Left", status.eta_s === null ? "not known yet" : duration(status.eta_s), [
      `${pace(status.per_min)} images a minute`,
      status.latency_p50_s === null ? null : `half within ${seconds(status.latency_p50_s)}, 95 % within ${seconds(status.latency_p95_s)}`,
    ]),
  );
  return made;
}

/** Of which runs the money is: of those that count as one, and that may be fewer than made the jobs' images. */
function whose({ figures, run, state }) {
  if (figures?.runs > 1) return `the last ${count(figures.runs)} runs`;
  if (figures && figures.newest !== run?.run_id) return "the last run that sent anything";
  return state === "ended" || state === "died" ? "the last run" : "this run";
}

function tile(name, value, lines, more = null) {
  return element(
    "div",
    { class: "tile" },
    element("h2", {}, name),
    element("p", { class: "value" }, value),
    lines.filter(Boolean).map((line) => element("p", { class: "hint" }, line)),
    more,
  );
}

function bar(parts) {
  const made = element("div", { class: "progress", "aria-hidden": "true" });
  for (const [share, kind] of parts) {
    if (!(share > 0)) continue;
    const part = element("i", { class: `is-${kind}` });
    part.style.flexGrow = share;
    made.append(part);
  }
  return made;
}

/** Money is told to the cent. */
function cents(usd) {
  return `$${usd.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}

function showFailures({ failures, status }) {
  const attempts = new Map((status?.failing ?? []).map((each) => [each.kind, each]));
  const rows = failures.map((each) => [each, attempts.get(each.kind)?.count ?? null]);
  for (const each of attempts.values())
    if (!failures.some(({ kind }) => kind === each.kind)) rows.push([{ ...each, count: 0 }, each.count]);
  byId("failing").hidden = rows.length === 0;
  byId("failing").classList.toggle("is-over", !status); // attempts are told by the run alone
  fill(
    byId("failing").querySelector("tbody"),
    rows.map(([each, tried]) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, words(each.kind)),
        element("td", { class: "number" }, count(each.count)),
        element("td", { class: "number" }, tried === null ? "" : count(tried)),
        element("td", {}, element("a", { href: jobAddress(each.job_id, ""), class: "name" }, each.job_id), " ", element("span", { class: "error" }, each.error)),
      ),
    ),
  );
}

function showLatest(latest) {
  byId("latest").hidden = latest.length === 0;
  const list = byId("latest").querySelector("ul");
  const shown = latest.map((each) => each.thumb).join();
  if (list.dataset.shown === shown) return; // pictures must not flicker
  list.dataset.shown = shown;
  list.replaceChildren(
    ...latest.map((each) =>
      element("li", {}, element("a", { href: jobAddress(each.job_id, ""), title: each.job_id }, element("img", { src: each.thumb, alt: each.job_id, loading: "lazy" }))),
    ),
  );
}

function table(id, [head, ...rows]) {
  const place = byId(id).querySelector("table");
  const cells = (name) => (value, at) => element(at === 0 || name === "th" ? "th" : "td", { class: at ? "number" : null, scope: name === "th" ? "col" : at === 0 ? "row" : null }, value);
  fill(place.tHead, [element("tr", {}, head.map(cells("th")))]);
  fill(place.tBodies[0], rows.map((row) => element("tr", {}, row.map(cells("td")))));
}

/** New children where they differ from those that are there: what somebody selects or reads aloud stays. */
function fill(place, children) {
  const fresh = element("div", {}, children);
  const before = element("div", {}, [...place.childNodes].map((each) => each.cloneNode(true)));
  if (!fresh.isEqualNode(before)) place.replaceChildren(...fresh.childNodes);
}

function setText(place, text) {
  if (place.textContent !== text) place.textContent = text;
}
