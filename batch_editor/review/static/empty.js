// What a list says that has nothing in it, and what to do about it.

import { element } from "./elements.js";
import { chosen } from "./filters.js";
import { count } from "./format.js";

/** The elements to show; `clear` takes the filters away. */
export function emptyWords(overview, { filter, asGrid, clear }) {
  const { jobs, verdicts } = overview;
  if (jobs.total === 0) {
    return [
      title("No jobs yet"),
      text("This output directory has no jobs. Pictures show up here as soon as a run makes them:"),
      text(code("batch-editor run MANIFEST --output OUT")),
    ];
  }
  const picked = chosen(filter);
  if (asGrid && picked.length === 0) {
    const why = [
      "No input was edited in more than one way. A ",
      code("matrix"),
      " in the manifest makes several pictures of one input.",
    ];
    return [title("Nothing to compare"), text(...why)];
  }
  if (picked.length === 1 && String(picked[0]) === "verdict,none" && verdicts.approved + verdicts.rejected > 0) {
    return [
      title("Everything is judged"),
      text(`${count(verdicts.approved)} approved, ${count(verdicts.rejected)} rejected.`),
      verdicts.rejected > 0 &&
        text("What it costs to make the rejected ones again: ", code("batch-editor plan MANIFEST --redo rejected")),
      button("Show all jobs", clear),
    ].filter(Boolean);
  }
  return [title("No job matches"), button("Clear the filters", clear)];
}

function title(words) {
  return element("h2", {}, words);
}

function text(...words) {
  return element("p", {}, words);
}

function code(words) {
  return element("code", {}, words);
}

function button(words, act) {
  return element("p", {}, element("button", { type: "button", onclick: act }, words));
}
