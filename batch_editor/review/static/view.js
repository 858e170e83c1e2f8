// Cells in rows and columns, one of them the current one: what the gallery and the grid have in common.

import { empty, fill } from "./cards.js";
import { Rows } from "./rows.js";

/**
 * Of a subclass: `columns`, `places` (how many cells there are), `cardAt(place)`, `drawRow(index)`, `drawCell(place)`,
 * `rowHeight()`, `rowCount()`, `wanted(first, last)` (rows in sight).
 * `tell.open(card)`, `tell.judge(card, verdict)`, `tell.moved(card)` hear what somebody did.
 */
export class View {
  constructor(scroller, collection, tell) {
    Object.assign(this, { scroller, collection, tell });
    this.current = 0;
    this.rows = new Rows(scroller, {
      draw: (index) => this.drawRow(index),
      fill,
      empty,
      seen: (first, last) => this.wanted(first, last),
    });
    this.listening = new AbortController();
    const options = { signal: this.listening.signal };
    scroller.addEventListener("click", (event) => this.clicked(event), options);
    scroller.addEventListener("dblclick", (event) => this.opened(event), options);
    this.sized = new ResizeObserver(() => this.fit());
    this.sized.observe(scroller);
  }

  /** The card of the current cell, where it is loaded and there is one. */
  card() {
    return this.cardAt(this.current);
  }

  /** Draws everything anew, the current cell in sight. */
  draw() {
    this.scroller.setAttribute("aria-rowcount", this.rowCount());
    this.scroller.setAttribute("aria-colcount", this.columns);
    this.rows.set(this.rowCount(), this.rowHeight());
    this.go(this.current);
  }

  /** Draws the cells of these places anew, where they are on the page. */
  redraw(places) {
    for (const place of places) {
      const cell = document.getElementById(`cell-${place}`);
      if (!cell) continue;
      const kept = [...cell.querySelectorAll("img[src]")];
      const fresh = this.drawCell(place);
      cell.replaceWith(fresh);
      keepPictures(fresh, kept);
      fill(fresh);
    }
    this.mark();
  }

  /** Makes a place the current one. */
  go(place) {
    this.current = Math.max(0, Math.min(place, this.places - 1));
    if (this.places > 0) this.rows.show(Math.floor(this.current / this.columns));
    this.rows.fillAll();
    this.mark();
    this.tell.moved(this.card());
  }

  /** To the next or the former cell that has a card; `step` is in cells. False where there is none. */
  move(step) {
    for (let place = this.current + step; place >= 0 && place < this.places; place += step) {
      if (this.cardAt(place) === null) continue;
      this.go(place);
      return true;
    }
    return false;
  }

  /** A screenful of rows up or down. */
  movePage(direction) {
    const step = direction * this.rows.page() * this.columns;
    const last = (this.current % this.columns) + Math.floor((this.places - 1) / this.columns) * this.columns;
    this.go(Math.max(this.current % this.columns, Math.min(this.current + step, last)));
  }

  end() {
    this.listening.abort();
    this.sized.disconnect();
    this.rows.end();
    this.scroller.removeAttribute("aria-activedescendant");
  }

  mark() {
    for (const cell of this.scroller.querySelectorAll(".current")) {
      cell.classList.remove("current");
      cell.removeAttribute("aria-selected");
    }
    const cell = document.getElementById(`cell-${this.current}`);
    if (!cell) {
      this.scroller.removeAttribute("aria-activedescendant");
      return;
    }
    cell.classList.add("current");
    cell.setAttribute("aria-selected", "true");
    this.scroller.setAttribute("aria-activedescendant", cell.id);
    if (this.scroller.scrollWidth > this.scroller.clientWidth)
      cell.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  placeOf(event) {
    const cell = event.target.closest("[data-place]");
    return cell ? Number(cell.dataset.place) : null;
  }

  clicked(event) {
    const place = this.placeOf(event);
    const card = place === null ? null : this.cardAt(place);
    if (!card) return;
    const button = event.target.closest("[data-verdict]");
    const link = event.target.closest("a");
    if (link) {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a tab of its own
      event.preventDefault();
    }
    this.go(place);
    if (button) this.tell.judge(card, card.verdict === button.dataset.verdict ? null : button.dataset.verdict);
    else if (link || event.pointerType === "touch") this.tell.open(card);
  }

  opened(event) {
    const place = this.placeOf(event);
    const card = place === null || event.target.closest("button, a") ? null : this.cardAt(place);
    if (card) this.tell.open(card);
  }
}

/** A picture that is there already is kept: a verdict must not make it flicker. */
function keepPictures(cell, kept) {
  for (const image of cell.querySelectorAll("img[data-src]")) {
    const same = kept.find((each) => each.dataset.src === image.dataset.src);
    if (same) image.replaceWith(same);
  }
}
