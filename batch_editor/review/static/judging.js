// Verdicts: shown at once, sent in order, taken back one by one.

import { post } from "./api.js";
import { askNote } from "./dialogs.js";
import { counted, verdictWord } from "./format.js";
import { say, speak } from "./messages.js";
import { tab } from "./settings.js";

/** The keys of both pages, as their help shows them. */
export const JUDGING_KEYS = [
  [["A"], "Approve, and on to the next"],
  [["R"], "Reject, and on to the next"],
  [["Shift A", "Shift R"], "The same, and stay"],
  [["E"], "Write a note; it goes into the prompt of a rejected picture"],
  [["N"], "Take the verdict away"],
  [["U"], "Undo the last verdict or note"],
];

const KEPT = 500; // how many acts of this tab can be taken back

/** What a verdict belongs to. Jobs that share a picture share it. */
export function pictureOf(card) {
  return { fingerprint: card.fingerprint, sha256: card.sha256 };
}

/** Whether two cards show the same picture. */
export function samePicture(one, other) {
  return one.fingerprint === other.fingerprint && one.sha256 === other.sha256;
}

/**
 * Gives verdicts and notes, and takes them back.
 * `apply(picture, change)` shows a change on the page; `known()` hears that the server has one.
 */
export class Judging {
  constructor({ apply, known }) {
    this.apply = apply;
    this.known = known;
    this.user = null;
    this.readOnly = null;
    this.sending = Promise.resolve();
  }

  /** Whether this card can be judged; says why not. */
  may(card) {
    if (this.readOnly) say(this.readOnly);
    else if (!card?.sha256) say("There is no picture to judge.");
    else return true;
    return false;
  }

  /** A verdict, a note, or both on the picture of a card; true where it was shown. */
  give(card, change) {
    if (!this.may(card)) return false;
    const picture = pictureOf(card);
    const before = { verdict: card.verdict, note: card.note, by: card.by, at: card.at };
    const after = { ...before, ...change, by: this.user, at: new Date().toISOString() };
    this.apply(picture, after);
    speak(`${verdictWord(after.verdict)}: ${card.job_id}`);
    this.send({ pictures: [picture], ...change }, card.job_id, () => this.apply(picture, before));
    return true;
  }

  /** Asks for a note; resolves to the change that was made, or null. */
  async note(card) {
    if (!this.may(card)) return null;
    const said = await askNote(card);
    if (!said) return null;
    const change = said.reject ? { note: said.note, verdict: "rejected" } : { note: said.note };
    return this.give(card, change) ? change : null;
  }

  /** A verdict on all that a filter shows. Raises Refused, with 409 where it now shows another number. */
  async giveAll(filter, expect, verdict) {
    const answer = await post("/api/verdicts", { filter, expect, verdict });
    this.remember(answer.batch, null);
    this.known();
    say(`${verdictWord(verdict)}: ${counted(answer.changed, "picture")}. U takes it back.`);
  }

  /** Takes back the last act of this tab. Resolves to {jobId, pictures}: the job it was about, and what changed. */
  undo() {
    // In the row of what is sent: an act can be taken back when it has arrived, and each only once.
    const undone = this.sending.then(() => this.takeBack());
    this.sending = undone;
    return undone;
  }

  async takeBack() {
    const acts = tab.get("acts") ?? [];
    const last = acts.pop();
    if (!last) {
      say("Nothing to take back.");
      return { jobId: null, pictures: [] };
    }
    try {
      const answer = await post("/api/undo", { batch: last.batch });
      tab.set("acts", acts);
      this.known();
      const what = last.jobId ?? counted(answer.pictures.length, "picture");
      say(answer.pictures.length ? `Taken back: ${what}` : "Not taken back: it has been judged anew since.");
      return { jobId: last.jobId, pictures: answer.pictures };
    } catch (error) {
      say(`Not taken back: ${error.message}`);
      return { jobId: null, pictures: [] };
    }
  }

  send(body, jobId, takeBack) {
    // One after the other: two acts on one picture must not overtake each other.
    this.sending = this.sending.then(async () => {
      try {
        const answer = await post("/api/verdicts", body);
        this.remember(answer.batch, jobId);
        this.known();
      } catch (error) {
        takeBack();
        say(`Not saved: ${jobId}. ${error.message}`);
      }
    });
  }

  remember(batch, jobId) {
    tab.set("acts", [...(tab.get("acts") ?? []), { batch, jobId }].slice(-KEPT));
  }
}
