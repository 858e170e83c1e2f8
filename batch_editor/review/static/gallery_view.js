// All jobs of a filter, as many to a row as the page is wide.

import { drawCard } from "./cards.js";
import { element } from "./elements.js";
import { View } from "./view.js";

const SIZES = [132, 184, 264, 380]; // pixels of a picture's square
const GAP = 8;
const FOOT = 44;
const EDGE = 12; // as in review.css
const NARROW_EDGE = 8;

/** The steps that pictures can be larger or smaller by. */
export const STEPS = SIZES.length;

/** The gallery. `looks` has `pairs`, `size` (0 to STEPS - 1) and `query` (the filter, for links). */
export class GalleryView extends View {
  constructor(scroller, collection, tell, looks) {
    super(scroller, collection, tell);
    this.looks = looks;
    this.columns = 1;
    scroller.classList.add("as-gallery");
  }

  get places() {
    return this.collection.total;
  }

  cardAt(place) {
    return this.collection.at(place);
  }

  rowCount() {
    return Math.ceil(this.places / this.columns);
  }

  rowHeight() {
    return Math.floor(this.square) + FOOT + GAP;
  }

  draw() {
    const room = this.scroller.clientWidth - 2 * (this.scroller.clientWidth < 520 ? NARROW_EDGE : EDGE) + GAP;
    const wide = SIZES[this.looks.size] * (this.looks.pairs ? 1.7 : 1);
    this.columns = Math.max(room < 480 && this.looks.size < 2 ? 2 : 1, Math.floor(room / (wide + GAP)));
    const cell = room / this.columns - GAP;
    // A few jobs needn't fill the page: their pictures keep the size that was chosen.
    this.square = Math.min(this.looks.pairs ? cell / 2 : cell, SIZES[this.looks.size] * 1.4);
    this.width = this.scroller.clientWidth;
    super.draw();
  }

  /** Called when the page has another width. */
  fit() {
    if (this.width !== this.scroller.clientWidth) this.draw();
    else this.rows.refill();
  }

  drawRow(index) {
    const row = element("div", { class: "row", role: "row", "aria-rowindex": index + 1 });
    row.style.gridTemplateColumns = `repeat(${this.columns}, minmax(0, 1fr))`;
    const first = index * this.columns;
    for (let place = first; place < Math.min(first + this.columns, this.places); place += 1)
      row.append(this.drawCell(place));
    return row;
  }

  drawCell(place) {
    const card = this.cardAt(place);
    const cell = drawCard(card, { id: `cell-${place}`, place, query: this.looks.query, pairs: this.looks.pairs });
    cell.setAttribute("aria-colindex", (place % this.columns) + 1);
    if (place === this.current) cell.classList.add("current");
    return cell;
  }

  wanted(first, last) {
    this.collection.want(first * this.columns, (last + 1) * this.columns - 1);
  }

  /** The places in sight. */
  sight() {
    const [first, last] = this.rows.sight();
    return [first * this.columns, Math.min(this.places, (last + 1) * this.columns) - 1];
  }

  end() {
    super.end();
    this.scroller.classList.remove("as-gallery");
  }
}
