// What the page says: a passing word, a trouble that stays, and words for screen readers.

import { connection } from "./api.js";
import { byId, element } from "./elements.js";

let timer = null;

/** A word at the foot of the page for a few seconds; screen readers hear it as well. */
export function say(text) {
  const toast = byId("toast");
  toast.textContent = text;
  toast.hidden = false;
  speak(text);
  clearTimeout(timer);
  timer = setTimeout(() => (toast.hidden = true), 4000);
}

/** Words for screen readers alone. */
export function speak(text) {
  byId("spoken").textContent = text;
}

/** A trouble that stays until it is over; null takes it away. */
export function trouble(...parts) {
  const place = byId("trouble");
  if (parts[0] === null) {
    place.hidden = true;
    return;
  }
  place.replaceChildren(...parts);
  place.hidden = false;
}

connection.addEventListener("lost", () =>
  trouble(
    element("strong", {}, "No answer from batch-editor review. "),
    "Is it still running in its terminal? This page goes on trying; verdicts are saved again when it answers.",
  ),
);
connection.addEventListener("back", () => trouble(null));
connection.addEventListener("over", () =>
  trouble(
    element("strong", {}, "This session has ended. "),
    "Verdicts that were given are saved. To go on, open the address that batch-editor review printed last, ",
    "or start it again.",
  ),
);
