// One key, one act. Keys belong to the page, not to what has the focus, except where somebody writes or chooses.

import { setting } from "./settings.js";

const ALWAYS = new Set([
  "?",
  "ArrowLeft",
  "ArrowRight",
  "ArrowUp",
  "ArrowDown",
  "Enter",
  "Escape",
  "Home",
  "End",
  "PageUp",
  "PageDown",
]);
const WRITING = "textarea, select, input:not([type=checkbox])";
// What a focused control does with a key itself.
const OWN = {
  Enter: "a, button, summary, input",
  " ": "a, button, summary, input",
  ArrowLeft: "[role=slider]",
  ArrowRight: "[role=slider]",
};

/** Calls what `acts` has under the key's name; `Shift+` and `Ctrl+` stand before it where they were held. */
export function listen(acts) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.closest?.(WRITING)) return;
    if (event.target.closest?.(OWN[event.key] ?? "never")) return;
    const act = acts[named(event)];
    if (!act || (!setting("keys") && !ALWAYS.has(event.key))) return;
    event.preventDefault();
    act(event);
  });
}

function named(event) {
  if (event.ctrlKey || event.metaKey) return `Ctrl+${event.key}`;
  // On a keyboard of another script the key that has A on it is A all the same.
  const key =
    event.key.length === 1 && event.key > "~" && event.code.startsWith("Key") ? event.code.slice(3) : event.key;
  const letter = key.length === 1 ? key.toLowerCase() : key;
  const shifted = event.shiftKey && (letter !== letter.toUpperCase() || key.length > 1);
  return shifted ? `Shift+${letter}` : letter;
}
