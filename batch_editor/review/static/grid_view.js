// What was made of the same input in several ways: a row for each input, a column for each way.

import { drawCard } from "./cards.js";
import { element } from "./elements.js";
import { money } from "./format.js";
import { View } from "./view.js";

const SIZES = [120, 168, 232, 320];
const INPUT = [96, 128, 168, 220];
const FOOT = 44;
const GAP = 8;

/** The grid. `looks` has `size` and `query`; `head` is the element for the columns' names. */
export class GridView extends View {
  constructor(scroller, collection, tell, looks, head) {
    super(scroller, collection, tell);
    this.looks = looks;
    this.head = head;
    this.ways = collection.head.columns;
    this.columns = Math.max(1, this.ways.length);
    scroller.classList.add("as-grid");
    scroller.addEventListener("scroll", () => (head.scrollLeft = scroller.scrollLeft), {
      signal: this.listening.signal,
      passive: true,
    });
  }

  get places() {
    return this.collection.total * this.columns;
  }

  cardAt(place) {
    const entry = this.collection.at(Math.floor(place / this.columns));
    return entry && (entry.cells[place % this.columns] ?? null);
  }

  rowCount() {
    return this.collection.total;
  }

  rowHeight() {
    return this.square + FOOT + GAP;
  }

  draw() {
    const narrow = this.scroller.clientWidth < 480;
    const input = narrow ? 88 : INPUT[this.looks.size];
    const room = (this.scroller.clientWidth - input - GAP * 2) / this.columns - GAP;
    const least = narrow ? 132 : SIZES[this.looks.size];
    const wide = Math.floor(Math.max(least, Math.min(room, least * 1.4)));
    this.square = Math.min(wide, Math.floor(least * 1.2));
    this.scroller.classList.toggle("tight", wide < 150);
    this.width = this.scroller.clientWidth;
    this.template = `${input}px repeat(${this.columns}, ${wide}px)`;
    this.across = input + this.columns * (wide + GAP) + GAP * 2;
    this.drawHead();
    super.draw();
    this.rows.sizer.style.width = `${this.across}px`;
  }

  fit() {
    if (this.width !== this.scroller.clientWidth) this.draw();
    else this.rows.refill();
  }

  drawHead() {
    const cells = this.ways.map((way) =>
      element(
        "div",
        { class: "way" },
        element("strong", { title: way.label }, way.label),
        element("span", { class: "price" }, price(way.price_usd)),
      ),
    );
    const row = element(
      "div",
      { class: "row" },
      element("div", { class: "way input" }, element("strong", {}, "Input")),
      cells,
    );
    row.style.gridTemplateColumns = this.template;
    row.style.width = `${this.across}px`;
    this.head.replaceChildren(row);
    this.head.hidden = false;
  }

  drawRow(index) {
    const row = element("div", { class: "row", role: "row", "aria-rowindex": index + 1 });
    row.style.gridTemplateColumns = this.template;
    const entry = this.collection.at(index);
    const label = entry?.input.label ?? "";
    row.append(
      element(
        "div",
        { class: "input", role: "rowheader", title: label },
        element(
          "div",
          { class: "picture" },
          entry?.input.before && element("img", { alt: "", "data-src": entry.input.before }),
        ),
        element("span", { class: "name" }, label),
      ),
    );
    for (let column = 0; column < this.columns; column += 1) row.append(this.drawCell(index * this.columns + column));
    return row;
  }

  drawCell(place) {
    const cell = drawCard(this.cardAt(place), {
      id: `cell-${place}`,
      place,
      query: this.looks.query,
      pairs: false,
      named: false,
    });
    cell.setAttribute("aria-colindex", (place % this.columns) + 1);
    const way = this.ways[place % this.columns];
    if (cell.hasAttribute("aria-label"))
      cell.setAttribute("aria-label", `${way.label}: ${cell.getAttribute("aria-label")}`);
    if (place === this.current) cell.classList.add("current");
    return cell;
  }

  /** Rows that came are drawn whole: their inputs came with them. */
  redraw(rows) {
    for (const index of rows) {
      const row = this.rows.row(index);
      if (!row) continue;
      const cells = [];
      for (let column = 0; column < this.columns; column += 1) cells.push(index * this.columns + column);
      if (row.querySelector(".input .name").textContent === (this.collection.at(index)?.input.label ?? ""))
        super.redraw(cells);
      else row.replaceChildren(...this.drawRow(index).children);
    }
    this.rows.fillAll();
    this.mark();
  }

  wanted(first, last) {
    this.collection.want(first, last);
  }

  /** The rows in sight. */
  sight() {
    return this.rows.sight();
  }

  end() {
    super.end();
    this.head.hidden = true;
    this.scroller.classList.remove("as-grid", "tight");
  }
}

/** What one picture of a column cost: one figure, or the least, the most and the mean. */
function price(usd) {
  if (!usd || usd.mean === null || usd.mean === undefined) return "";
  const [least, most, mean] = [money(usd.min), money(usd.max), money(usd.mean)];
  return least === most ? `${mean} each` : `${least} to ${most}, mean ${mean}`;
}
