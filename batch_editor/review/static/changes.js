// Whether anything is new on the server: a run beside us, or another browser.

import { get } from "./api.js";

const PERIOD_MS = 2000; // a run finishes about one picture a second, and nobody looks faster than that

/** Calls `changed(version)` when the version is another than the one known; asks only while the page is seen. */
export class Changes {
  constructor(changed) {
    this.version = null;
    this.changed = changed;
    setInterval(() => this.look(), PERIOD_MS);
    document.addEventListener("visibilitychange", () => this.look());
  }

  /** The version that this page shows. */
  know(version) {
    this.version = version;
  }

  async look() {
    if (document.hidden || this.version === null || this.looking) return;
    this.looking = true;
    try {
      const since = this.version;
      const answer = await get(`/api/changes?since=${encodeURIComponent(since)}`);
      // Between question and answer a verdict of our own may have made a version that is known by now.
      if (answer.changed && this.version === since) {
        this.version = answer.version;
        await this.changed(answer.version);
      }
    } catch {
      // Told by messages.js; the next turn tries again.
    } finally {
      this.looking = false;
    }
  }
}
