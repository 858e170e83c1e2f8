// The dialogs: a note, the keys, a whole filter at once. The browser's own <dialog> keeps the focus inside.

import { byId, element } from "./elements.js";
import { choose, setting } from "./settings.js";

/** Shows a dialog; resolves to the `data-act` of the button that closed it, or null for Escape. */
export function ask(dialog, prepare = () => {}) {
  return new Promise((resolve) => {
    const back = document.activeElement;
    const done = new AbortController();
    const close = (act) => {
      done.abort();
      dialog.close();
      back?.focus?.({ preventScroll: true });
      resolve(act);
    };
    dialog.addEventListener(
      "click",
      (event) => {
        const button = event.target.closest("[data-act]");
        if (button) close(button.dataset.act);
        else if (event.target === dialog) close(null); // the ground around it
      },
      { signal: done.signal },
    );
    dialog.addEventListener(
      "cancel",
      (event) => {
        event.preventDefault();
        close(null);
      },
      { signal: done.signal },
    );
    dialog.showModal();
    prepare(close, done.signal);
  });
}

/** Asks for a note on a card. Resolves to `{note, reject}`, or null where it was left. */
export async function askNote(card) {
  const text = byId("note-text");
  byId("note-about").textContent = card.job_id;
  text.value = card.note ?? "";
  const act = await ask(byId("note-dialog"), (close, signal) => {
    text.focus();
    text.addEventListener(
      "keydown",
      (event) => {
        if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
        event.preventDefault();
        close(event.ctrlKey || event.metaKey ? "reject" : "save");
      },
      { signal },
    );
  });
  return act === "save" || act === "reject" ? { note: text.value.trim() || null, reject: act === "reject" } : null;
}

/** Shows which keys there are. `keys` is a list of [keys, what they do]. */
export function showHelp(keys) {
  const rows = keys.map(([names, does]) =>
    element(
      "tr",
      {},
      element(
        "th",
        { scope: "row" },
        names.map((name) => element("kbd", {}, name)),
      ),
      element("td", {}, does),
    ),
  );
  byId("help-keys").replaceChildren(element("table", {}, element("tbody", {}, rows)));
  for (const [id, name] of [
    ["switch-advance", "advance"],
    ["switch-keys", "keys"],
  ]) {
    byId(id).checked = setting(name);
    byId(id).onchange = (event) => choose(name, event.target.checked);
  }
  return ask(byId("help-dialog"));
}
