// One verdict for all that a filter shows, once somebody has confirmed how many that is.

import { ask } from "./dialogs.js";
import { byId } from "./elements.js";
import { chosen, chosenWord } from "./filters.js";
import { count, counted } from "./format.js";
import { say } from "./messages.js";

/** Asks, and gives the verdict; true where it was given. `pictures` is how many the page knows of. */
export async function askAll(judging, { filter, query, pictures }) {
  const dialog = byId("all-dialog");
  let number = pictures;
  let before = "";
  for (;;) {
    byId("all-title").textContent = `Judge ${counted(number, "picture")}`;
    byId("all-about").textContent = `${before}${about(filter, number)} Notes stay. One press of U takes it back.`;
    dialog.querySelector("[data-act=approved]").textContent = `Approve ${count(number)}`;
    dialog.querySelector("[data-act=rejected]").textContent = `Reject ${count(number)}`;
    const act = await ask(dialog, () => dialog.querySelector("[data-act=cancel]").focus());
    if (act !== "approved" && act !== "rejected") return false;
    try {
      await judging.giveAll(query, number, act);
      return true;
    } catch (error) {
      if (error.status !== 409) {
        say(`Nothing was judged. ${error.message}`);
        return false;
      }
      const now = error.body.count;
      before = `Nothing was judged: meanwhile there are ${count(now)} instead of ${count(number)}. `;
      number = now;
    }
  }
}

function about(filter, number) {
  const picked = chosen(filter).map(([name, value]) =>
    name.startsWith("row.") ? `${name.slice(4)}: ${value}` : chosenWord(name, value),
  );
  const which = picked.length ? `that match ${picked.join(", ")}` : "of this output directory";
  return `This gives one verdict to all ${count(number)} pictures ${which}, in sight or not, judged before or not.`;
}
