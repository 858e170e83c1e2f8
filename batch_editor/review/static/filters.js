// The filter: what the address says, and the panel that changes it.

import { byId, element } from "./elements.js";
import { count, fileName, verdictWord, words } from "./format.js";

const NAMED = ["verdict", "status", "error_kind", "template", "endpoint"];
const VERDICTS = ["none", "approved", "rejected"];
const TITLES = {
  verdict: "Verdict",
  status: "Status",
  error_kind: "Error",
  template: "Template",
  endpoint: "Endpoint",
};
const WAIT_MS = 200; // between a letter typed and a search, so that a word is looked for once
const SHORT = 8; // values shown of a column before the rest is asked for

/** The filter that an address says; what is no filter, sorting or text is left out. */
export function readFilter(search) {
  const filter = new URLSearchParams();
  for (const [name, value] of new URLSearchParams(search)) {
    if (isFilter(name) && value !== "") filter.append(name, value);
    else if (["q", "sort", "descending"].includes(name) && value !== "") filter.set(name, value);
  }
  return filter;
}

function isFilter(name) {
  return NAMED.includes(name) || name.startsWith("row.");
}

/** The chosen [name, value] pairs of a filter, its text among them, its sorting not. */
export function chosen(filter) {
  return [...filter].filter(([name]) => isFilter(name) || name === "q");
}

/** A chosen value in words. */
export function chosenWord(name, value) {
  if (name === "q") return `“${value}”`;
  if (name === "verdict") return verdictWord(value);
  if (name === "template") return fileName(value);
  return name === "error_kind" || name === "status" ? words(value) : value;
}

/** The filter without one of its values, or with it. */
export function toggled(filter, name, value) {
  const had = filter.getAll(name).includes(value);
  const changed = new URLSearchParams();
  for (const [each, its] of filter) if (each !== name || its !== value) changed.append(each, its);
  if (!had) changed.append(name, value);
  return changed;
}

/** Whether a card can still belong to a filter of which only its verdict may have changed. */
export function stillMatches(filter, card) {
  const verdicts = filter.getAll("verdict");
  return verdicts.length === 0 || (card.sha256 !== null && verdicts.includes(card.verdict ?? "none"));
}

/** The panel. `change(filter, {typing})` hears a changed filter. */
export class FilterPanel {
  constructor(root, change) {
    this.root = root;
    this.change = change;
    this.whole = new Set();
    this.search = element("input", {
      type: "search",
      id: "search",
      placeholder: "Search",
      title: "In ids, prompts, rows, notes and errors (/)",
      "aria-label": "Search ids, prompts, rows, notes and errors",
      autocomplete: "off",
      spellcheck: "false",
    });
    this.groups = element("div", {});
    this.search.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.typed(), WAIT_MS);
    });
    this.search.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault();
      if (event.key === "Escape") this.search.value = "";
      clearTimeout(this.timer);
      this.typed();
      byId("scroller").focus();
    });
    root.replaceChildren(this.search, this.groups);
  }

  /** Shows the values that an overview counts, those of the filter chosen. */
  show(overview, filter) {
    Object.assign(this, { overview, filter });
    if (document.activeElement !== this.search) this.search.value = filter.get("q") ?? "";
    const focused = document.activeElement?.closest?.("[data-key]")?.dataset.key;
    const open = new Set([...this.groups.querySelectorAll("details[open]")].map((each) => each.dataset.name));
    const counted = {
      ...overview.filters,
      verdict: VERDICTS.map((value) => ({ value, count: overview.verdicts[value] })),
    };
    const named = NAMED.map((name) => this.group(name, TITLES[name], counted[name] ?? []));
    const columns = (overview.filters.columns ?? []).map((column) => this.column(column, open));
    this.groups.replaceChildren(...[...named, ...columns].filter(Boolean));
    if (focused) this.groups.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  typed() {
    const filter = new URLSearchParams(this.filter);
    if (this.search.value.trim()) filter.set("q", this.search.value.trim());
    else filter.delete("q");
    if (filter.toString() !== this.filter.toString()) this.change(filter, { typing: true });
  }

  group(name, title, values) {
    if (name !== "verdict" && values.length < 2 && this.filter.getAll(name).length === 0) return null;
    return element("fieldset", {}, element("legend", {}, title), this.values(name, values));
  }

  /** A column of the rows; one whose values are all different is found by searching, not by choosing. */
  column({ name, distinct, values }, open) {
    const key = `row.${name}`;
    const picked = this.filter.getAll(key);
    if (picked.length === 0 && (distinct < 2 || !values.some((each) => each.count > 1))) return null;
    return element(
      "details",
      { "data-name": key, open: open.has(key) || picked.length > 0 },
      element(
        "summary",
        { "data-key": key },
        element("span", { class: "word" }, name),
        picked.length > 0 && element("b", {}, ` ${picked.length}`),
      ),
      this.values(key, values),
      distinct > values.length &&
        element("p", { class: "hint" }, `${count(distinct - values.length)} more: search for them`),
    );
  }

  values(name, values) {
    const picked = this.filter.getAll(name);
    const gone = picked
      .filter((value) => !values.some((each) => each.value === value))
      .map((value) => ({ value, count: 0 }));
    const all = [...values, ...gone];
    const few =
      this.whole.has(name) || all.length <= SHORT + 1
        ? all
        : all.filter((each, place) => place < SHORT || picked.includes(each.value));
    const list = element(
      "div",
      { class: "values" },
      few.map((each) => this.value(name, each, picked)),
    );
    if (few.length < all.length) {
      const more = () => {
        this.whole.add(name);
        this.show(this.overview, this.filter);
      };
      list.append(
        element("button", { type: "button", class: "more", onclick: more }, `${count(all.length - few.length)} more`),
      );
    }
    return list;
  }

  value(name, { value, count: number }, picked) {
    const word = value === "" ? "(empty)" : chosenWord(name, value);
    const tick = element("input", {
      type: "checkbox",
      checked: picked.includes(value),
      "data-key": `${name}=${value}`,
      onchange: () => this.change(toggled(this.filter, name, value), { typing: false }),
    });
    return element(
      "label",
      { class: "value", title: value },
      tick,
      element("span", { class: "word" }, word),
      element("span", { class: "number" }, count(number)),
    );
  }
}
