// What is known of one job, beside its picture.

import { jobAddress } from "./api.js";
import { element, sign } from "./elements.js";
import { bytes, fileName, moment, money, seconds, verdictWord, words } from "./format.js";

/** Draws the panel of a job. `act(name, value)` hears its buttons; `query` is the gallery's. */
export function drawPanel(root, job, { query, act }) {
  root.replaceChildren(
    ...[
      judge(job, act),
      note(job, act),
      trouble(job),
      prompt(job),
      facts(job, query),
      finished(job),
      former(job, act),
      table("Row", job.row),
      table("Parameters", job.params),
      attempts(job),
    ].filter(Boolean),
  );
}

function judge(job, act) {
  if (!job.sha256) return null;
  const button = (verdict, does, key) =>
    element(
      "button",
      {
        type: "button",
        class: `judge ${verdict}`,
        "aria-pressed": String(job.verdict === verdict),
        onclick: () => act("verdict", job.verdict === verdict ? null : verdict),
      },
      sign(verdict),
      does,
      element("kbd", {}, key),
    );
  const who = job.by && (job.verdict || job.note) ? `${verdictWord(job.verdict)} by ${job.by}, ${moment(job.at)}` : "";
  return element(
    "section",
    { class: "judging" },
    element(
      "div",
      { class: "verdicts", role: "group", "aria-label": "Verdict" },
      button("approved", "Approve", "A"),
      button("rejected", "Reject", "R"),
    ),
    who && element("p", { class: "hint" }, job.verdict ? who : who.replace(/^To judge/, "Noted")),
  );
}

function note(job, act) {
  if (!job.sha256) return null;
  return element(
    "section",
    { class: "note" },
    heading(
      "Note",
      element(
        "button",
        { type: "button", class: "quiet", onclick: () => act("note") },
        job.note ? "Change" : "Write",
        element("kbd", {}, "E"),
      ),
    ),
    job.note ? element("p", { class: "text" }, job.note) : null,
  );
}

function trouble(job) {
  if (!job.error && !job.error_kind) return null;
  return element(
    "section",
    { class: "failed" },
    heading(job.error_kind ? `${words(job.status)}: ${words(job.error_kind)}` : words(job.status)),
    element("p", { class: "text" }, job.error),
  );
}

function prompt(job) {
  const changed = job.sent_prompt && job.sent_prompt !== job.prompt;
  return element(
    "section",
    {},
    heading("Prompt"),
    element("p", { class: "text" }, job.prompt),
    changed && [heading("Sent the last time"), element("p", { class: "text" }, job.sent_prompt)],
  );
}

function facts(job, query) {
  const size = job.width
    ? `${job.width} × ${job.height}${job.format ? `, ${job.format}` : ""}${job.bytes ? `, ${bytes(job.bytes)}` : ""}`
    : null;
  const rows = [
    ["Id", job.job_id],
    ["Status", words(job.status)],
    ["Cost", money(job.cost_usd)],
    ["May have been billed", job.possibly_billed ? `${job.possibly_billed} without a result` : null],
    ["Time", seconds(job.latency_s)],
    ["Picture", size],
    ["File", job.output_path],
    ["Endpoint", job.endpoint],
    ["Template", job.template && fileName(job.template)],
    ["Same picture as", job.reused_from && element("a", { href: jobAddress(job.reused_from, query) }, job.reused_from)],
    ["Made again", job.redone ? `${job.redone}` : null],
  ];
  return element("section", {}, heading("Job"), list(rows.filter(([, value]) => value)));
}

/** What was made of the picture for its marketplaces, and how its checks came out. */
function finished(job) {
  if (!job.finished?.length) return null;
  const entries = job.finished.map((file) => {
    const failing = file.checks.filter((check) => !check.ok);
    const passing = file.checks.filter((check) => check.ok);
    return element(
      "li",
      {},
      file.url &&
        element(
          "a",
          { class: "thumb", href: file.url, target: "_blank", rel: "noopener", title: "See the file" },
          element("img", { src: file.url, alt: `${file.name}: ${job.job_id}`, loading: "lazy" }),
        ),
      element(
        "div",
        {},
        element("p", {}, element("b", {}, file.name), standing(file, failing.length)),
        file.fault && element("p", { class: "text is-rejected" }, file.fault),
        file.url &&
          element("p", { class: "hint" }, `${file.width} × ${file.height}, ${file.format}, ${bytes(file.bytes)}`),
        failing.length > 0 && checks(failing),
        file.notes.map((note) => element("p", { class: "hint" }, note)),
        passing.length > 0 &&
          element("details", {}, element("summary", { class: "hint" }, `${passing.length} met`), checks(passing)),
      ),
    );
  });
  return element("section", { class: "finished" }, heading("Finished files"), element("ul", {}, entries));
}

function standing(file, failing) {
  if (file.fault) return element("span", { class: "is-rejected" }, " not made");
  if (!file.checks.length) return null;
  if (!failing) return element("span", { class: "is-approved" }, " meets every rule");
  return element("span", { class: "is-rejected" }, ` fails ${failing} of ${file.checks.length} rules`);
}

function checks(found) {
  return element(
    "ul",
    { class: "checks" },
    found.map((check) =>
      element(
        "li",
        {},
        sign(check.ok ? "approved" : "rejected"),
        element(
          "span",
          {},
          element("b", {}, ruleWords(check.rule)),
          ` ${check.got}`,
          !check.ok && element("span", { class: "hint" }, ` wanted ${check.wanted}`),
        ),
      ),
    ),
  );
}

function ruleWords(rule) {
  return rule.replaceAll("_", " ");
}

function former(job, act) {
  if (!job.former?.length) return null;
  const entries = job.former.map((each, place) =>
    element(
      "li",
      {},
      element(
        "button",
        {
          type: "button",
          class: "thumb",
          onclick: () => act("compare", `former:${place}`),
          "aria-label": `Compare with ${each.label}`,
        },
        element("img", { src: each.thumb, alt: "" }),
      ),
      element(
        "div",
        {},
        element(
          "p",
          {},
          each.label,
          each.verdict &&
            element("span", { class: `is-${each.verdict}` }, ` ${verdictWord(each.verdict).toLowerCase()}`),
        ),
        each.at && element("p", { class: "hint" }, moment(each.at)),
        each.note && element("p", { class: "text" }, each.note),
      ),
    ),
  );
  return element("section", { class: "former" }, heading("Former pictures"), element("ul", {}, entries));
}

function attempts(job) {
  if (!job.attempts?.length) return null;
  const entries = job.attempts.map((each) => {
    const result = each.error_kind ? words(each.error_kind) : words(each.state ?? "");
    const figures = [
      each.http_status && `HTTP ${each.http_status}`,
      seconds(each.latency_s),
      money(each.cost_usd),
      each.possibly_billed && "may have been billed",
    ]
      .filter(Boolean)
      .join(" · ");
    return element(
      "li",
      {},
      element(
        "p",
        {},
        element("b", {}, `${each.number}`),
        ` ${result}`,
        element("span", { class: "hint" }, ` ${moment(each.started_at)}`),
      ),
      figures && element("p", { class: "hint" }, figures),
      each.error && element("p", { class: "text" }, each.error),
      each.request_id && element("p", { class: "hint id" }, each.request_id),
    );
  });
  return element("section", { class: "attempts" }, heading("Attempts"), element("ol", {}, entries));
}

function table(title, rows) {
  if (!rows?.length) return null;
  return element(
    "details",
    { class: "section", open: true },
    element("summary", {}, title),
    list(rows.filter(([name]) => name !== "prompt")),
  );
}

function list(rows) {
  return element(
    "dl",
    {},
    rows.map(([name, value]) => [
      element("dt", {}, name),
      element("dd", {}, value instanceof Node ? value : text(value)),
    ]),
  );
}

function text(value) {
  if (Array.isArray(value)) return value.join("\n");
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
}

function heading(title, ...more) {
  return element("h2", {}, element("span", {}, title), more);
}
