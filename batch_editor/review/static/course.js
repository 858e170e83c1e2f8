// What a run did, as columns for plots and as rows for tables: one source for both.

import { count, duration, money, pace, seconds } from "./format.js";

/**
 * By the ends of the buckets: `x` in seconds of work, sums so far, and what the plan would have by then. The plan's end
 * is one more place where the run is not that far yet; there the run's own are null.
 */
export function columns(figures) {
  const { buckets, plan, elapsed_s: elapsed } = figures;
  const made = { x: [0], images: [0], planned: [0], usd: [0], upTo: [0], plannedUsd: [0] };
  let [images, usd, possibly] = [0, 0, 0];
  for (const bucket of buckets) {
    images += bucket.images;
    usd += bucket.confirmed_usd;
    possibly += bucket.possibly_usd;
    push(made, bucket.at_s + bucket.length_s, plan, { images, usd, upTo: usd + possibly });
  }
  if (plan.requests > 0 && plan.s > elapsed) push(made, plan.s, plan, { images: null, usd: null, upTo: null });
  return made;
}

function push(made, x, plan, sums) {
  const share = plan.s > 0 ? Math.min(1, x / plan.s) : 1;
  made.x.push(x);
  made.planned.push(plan.requests * share);
  made.plannedUsd.push(plan.usd * share);
  for (const [name, value] of Object.entries(sums)) made[name].push(value);
}

export function timeRows(figures) {
  const { x, images, planned, usd, upTo, plannedUsd } = columns(figures);
  const head = ["After", "Images", "Plan", "Cost", "With possibly billed", "Plan", "Images a minute", "Half within", "95 % within", "Failed attempts", "429"];
  return [
    head,
    ...figures.buckets.map((bucket, at) => [
      duration(x[at + 1]),
      count(images[at + 1]),
      count(Math.round(planned[at + 1])),
      money(usd[at + 1]),
      money(upTo[at + 1]),
      money(plannedUsd[at + 1]),
      pace(bucket.per_min),
      seconds(bucket.p50_s),
      seconds(bucket.p95_s),
      count(bucket.failed),
      count(bucket.refused),
    ]),
  ];
}

export function groupRows(figures) {
  const head = ["Kind", "Images", "Cost", "An image", "Possibly billed", "Half within", "95 % within", "Failed attempts", "In flight"];
  const rows = figures.groups.map((group) => [group.label, group]);
  if (rows.length > 1) rows.push(["All", figures.sums]);
  return [
    head,
    ...rows.map(([label, sums]) => [
      label,
      count(sums.images),
      money(sums.confirmed_usd),
      sums.images ? money(sums.confirmed_usd / sums.images) : "",
      money(sums.possibly_usd),
      seconds(sums.p50_s),
      seconds(sums.p95_s),
      count(sums.failed),
      count(sums.open),
    ]),
  ];
}
