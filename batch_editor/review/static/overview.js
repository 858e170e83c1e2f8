// The bar at the top: what there is, how much is judged, what it cost.

import { byId, element } from "./elements.js";
import { count, money } from "./format.js";

/** Shows the counts of an overview. */
export function showOverview(overview) {
  const { jobs, verdicts } = overview;
  byId("output").title = [overview.output, overview.manifest_name].filter(Boolean).join(", made from ");
  const facts = [
    [verdicts.approved, "approved", "approved"],
    [verdicts.rejected, "rejected", "rejected"],
    [verdicts.none, "to judge", "none"],
    [jobs.failed, "failed", "failed"],
    [jobs.unknown, "unknown", "failed"],
    [jobs.pending, overview.running ? "still to be made" : "pending", "unmade"],
  ];
  const shown = facts.filter(([number, , kind]) => number > 0 || kind === "none");
  const spent = overview.money?.actual_usd || overview.money?.estimated_usd;
  byId("tally").replaceChildren(
    ...shown.map(([number, word, kind]) =>
      element("span", { class: `is-${kind}` }, element("b", {}, count(number)), ` ${word}`),
    ),
    ...(spent ? [element("span", { class: "spent" }, `cost ${money(spent)}`)] : []),
    ...(overview.running ? [element("span", { class: "running" }, "A run is at work")] : []),
  );
  byId("progress").replaceChildren(
    ...facts
      .filter(([number]) => number > 0)
      .map(([number, , kind]) => {
        const part = element("i", { class: `is-${kind}` });
        part.style.flexGrow = number;
        return part;
      }),
  );
}
