// A long list of rows of one height, of which only those in sight are on the page.

import { element } from "./elements.js";

const BEYOND = 2; // rows rendered above and below those in sight, so that a step of the wheel shows no gap
const CALM_MS = 90; // pictures are asked for when scrolling has paused so long: those that rush by are never asked for

/**
 * `draw(index)` makes a row, `fill(row)` asks for its pictures, `empty(row)` gives up those that are no longer wanted.
 * `seen(first, last)` hears which rows are in sight.
 */
export class Rows {
  constructor(scroller, { draw, fill, empty, seen }) {
    Object.assign(this, { scroller, draw, fill, empty, seen });
    this.drawn = new Map();
    this.count = 0;
    this.height = 1;
    this.sizer = element("div", { class: "sizer", role: "presentation" });
    this.onScroll = () => this.soon();
    scroller.replaceChildren(this.sizer);
    scroller.addEventListener("scroll", this.onScroll, { passive: true });
  }

  /** So many rows, each so many pixels high; all are drawn anew. */
  set(count, height) {
    this.count = count;
    this.height = height;
    this.sizer.style.height = `${count * height}px`;
    for (const index of [...this.drawn.keys()]) this.drop(index);
    this.update();
    this.fillAll();
  }

  /** The row of this index, where it is on the page. */
  row(index) {
    return this.drawn.get(index);
  }

  /** Scrolls as little as needed to have a row in sight. */
  show(index, room = 8) {
    const top = index * this.height;
    const view = this.scroller;
    if (top - room < view.scrollTop) view.scrollTop = top - room;
    else if (top + this.height + room > view.scrollTop + view.clientHeight)
      view.scrollTop = top + this.height + room - view.clientHeight;
    this.update();
  }

  /** How many whole rows are in sight; at least one. */
  page() {
    return Math.max(1, Math.floor(this.scroller.clientHeight / this.height));
  }

  /** The first and the last row in sight. */
  sight() {
    const first = Math.floor(this.scroller.scrollTop / this.height);
    const last = Math.floor((this.scroller.scrollTop + this.scroller.clientHeight) / this.height);
    return [Math.max(0, first), Math.min(this.count - 1, last)];
  }

  /** Takes the rows off the page and stops listening. */
  end() {
    this.scroller.removeEventListener("scroll", this.onScroll);
    clearTimeout(this.calm);
    for (const index of [...this.drawn.keys()]) this.drop(index);
    this.scroller.replaceChildren();
  }

  soon() {
    clearTimeout(this.calm);
    this.calm = setTimeout(() => this.fillAll(), CALM_MS);
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = null;
      this.update();
    });
  }

  update() {
    if (this.count === 0) return;
    const [first, last] = this.sight();
    const from = Math.max(0, first - BEYOND);
    const to = Math.min(this.count - 1, last + BEYOND);
    for (const index of [...this.drawn.keys()]) if (index < from || index > to) this.drop(index);
    let below = null; // rows stand in their order, for whoever reads the page from top to bottom
    for (let index = to; index >= from; index -= 1) {
      if (!this.drawn.has(index)) {
        const row = this.draw(index);
        row.style.transform = `translateY(${index * this.height}px)`;
        row.style.height = `${this.height}px`;
        this.drawn.set(index, row);
        this.sizer.insertBefore(row, below);
      }
      below = this.drawn.get(index);
    }
    this.seen(from, to);
  }

  /** Draws and fills what has come into sight because the page is higher now. */
  refill() {
    this.update();
    this.fillAll();
  }

  fillAll() {
    for (const row of this.drawn.values()) this.fill(row);
  }

  drop(index) {
    const row = this.drawn.get(index);
    this.empty(row);
    row.remove();
    this.drawn.delete(index);
  }
}
