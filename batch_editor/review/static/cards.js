// One job's card: its picture, what it is called, and its verdict.

import { jobAddress } from "./api.js";
import { element, sign } from "./elements.js";
import { money, seconds, verdictWord, words } from "./format.js";

const TRIES = 2; // of a thumbnail: a request that scrolling pushed aside is made once more
const AGAIN_MS = 1500;

const STATES = {
  pending: "Not made yet",
  unknown: "Unknown",
  failed: "Failed",
  succeeded: "No picture",
};

/** The card of a job, or of a place that isn't loaded (undefined) or has no job (null). `fill` asks for its pictures. */
export function drawCard(card, { id, query, pairs, place, named = true }) {
  if (!card)
    return element("div", {
      class: card === null ? "card none" : "card blank",
      role: "gridcell",
      id,
      "data-place": place,
    });
  const verdict = card.sha256 ? (card.verdict ?? "none") : "unmade";
  return element(
    "div",
    {
      class: `card is-${verdict}`,
      role: "gridcell",
      id,
      "data-place": place,
      "aria-label": spoken(card),
      title: card.job_id,
    },
    card.sha256 ? pictures(card, pairs) : unmade(card),
    foot(card, query, named),
  );
}

function pictures(card, pairs) {
  const both = pairs && card.before;
  return element(
    "div",
    { class: both ? "picture pair" : "picture" },
    both && element("img", { alt: "", draggable: "false", "data-src": card.before }),
    element("img", { alt: "", draggable: "false", "data-src": card.thumb }),
    verdictMark(card.verdict),
  );
}

function verdictMark(verdict) {
  return verdict && element("span", { class: `verdict ${verdict}` }, sign(verdict));
}

function unmade(card) {
  const title = card.error_kind
    ? `${STATES[card.status] ?? card.status}: ${words(card.error_kind)}`
    : STATES[card.status];
  return element(
    "div",
    { class: `picture unmade is-${card.status}` },
    element("p", {}, element("strong", {}, title ?? card.status)),
    card.error && element("p", { class: "error" }, card.error),
  );
}

function foot(card, query, named) {
  const figures = [money(card.cost_usd), seconds(card.latency_s)].filter(Boolean).join(" · ");
  return element(
    "div",
    { class: "foot" },
    element(
      "div",
      { class: "names" },
      element(
        "a",
        { class: "name", href: jobAddress(card.job_id, query), tabindex: "-1" },
        named ? card.job_id : money(card.cost_usd) || card.status,
      ),
      element(
        "span",
        { class: "figures" },
        card.note && element("span", { class: "has-note", title: card.note }, sign("note")),
        card.redone > 0 && element("span", { class: "again", title: `Made again: ${card.redone}` }, sign("again")),
        named ? figures : seconds(card.latency_s),
      ),
    ),
    card.sha256 && [button("approved", "Approve", card), button("rejected", "Reject", card)],
  );
}

function button(verdict, does, card) {
  const given = card.verdict === verdict;
  const named = `${does} ${card.job_id}`;
  return element(
    "button",
    {
      type: "button",
      class: `mark ${verdict}`,
      "data-verdict": verdict,
      tabindex: "-1",
      "aria-pressed": String(given),
      "aria-label": named,
    },
    sign(verdict),
  );
}

/** A card in words, for screen readers. */
export function spoken(card) {
  const state = card.sha256 ? verdictWord(card.verdict) : (STATES[card.status] ?? card.status);
  const parts = [card.job_id, state];
  if (!card.sha256 && card.error_kind) parts.push(words(card.error_kind));
  if (card.note) parts.push(`note: ${card.note}`);
  return parts.join(", ");
}

/** Asks for the pictures of what is in sight. */
export function fill(row) {
  for (const image of row.querySelectorAll("img[data-src]:not([src])")) {
    image.addEventListener("error", () => again(image));
    image.src = image.dataset.src;
  }
}

/** Gives up pictures that haven't come: the browser asks for six at a time, and those in sight come first. */
export function empty(row) {
  for (const image of row.querySelectorAll("img[src]")) if (!image.complete) image.removeAttribute("src");
}

function again(image) {
  if (!image.isConnected || !image.hasAttribute("src")) return;
  const tries = Number(image.dataset.tries ?? 1);
  if (tries >= TRIES) {
    image.replaceWith(element("p", { class: "error" }, "Can't be shown"));
    return;
  }
  image.dataset.tries = tries + 1;
  setTimeout(() => image.isConnected && (image.src = image.dataset.src), AGAIN_MS);
}
