// The picture, and what it is compared with: a slider, side by side, their difference, or alone; fitted or at 100 %.

import { element } from "./elements.js";
import { choose, setting } from "./settings.js";

export const MODES = ["slider", "side", "difference", "after"];
const PAN = 120; // pixels for one press of a key
const DIVIDE = 5; // percent for one press of a key
const GAP = 8;

/** `picture` is {before, after} of {url, label, width, height}; either may be null, and `words` then says why. */
export class Stage {
  constructor(root, { turned }) {
    this.root = root;
    this.turned = turned;
    this.mode = MODES.includes(setting("mode")) ? setting("mode") : "slider";
    this.zoomed = false;
    this.divider = 50;
    this.canvases = [];
    new ResizeObserver(() => this.fit()).observe(root);
    root.addEventListener("pointerdown", (event) => this.drag(event));
    root.addEventListener("dblclick", (event) => this.zoom(!this.zoomed, event));
  }

  /** Shows another picture; the divider and the zoom stay as they are. */
  show({ before, after, words }) {
    Object.assign(this, { before, after, words });
    this.draw();
  }

  turn(mode) {
    this.mode = mode;
    choose("mode", mode);
    this.draw();
    this.turned();
  }

  /** One pixel of the picture on one of the screen, or all of it in sight; `event` is where to look at. */
  zoom(on, event = null) {
    const pane = this.root.querySelector(".pane");
    if (!pane) return;
    const box = pane.getBoundingClientRect();
    const inner = pane.firstElementChild.getBoundingClientRect();
    const [x, y] = event
      ? [(event.clientX - inner.left) / inner.width, (event.clientY - inner.top) / inner.height]
      : [0.5, 0.5];
    this.zoomed = on;
    this.draw();
    for (const each of this.root.querySelectorAll(".pane")) {
      each.scrollLeft = x * each.scrollWidth - box.width / 2;
      each.scrollTop = y * each.scrollHeight - box.height / 2;
    }
    this.turned();
  }

  pan(right, down) {
    for (const pane of this.root.querySelectorAll(".pane")) pane.scrollBy(right * PAN, down * PAN);
  }

  /** Moves the divider of the slider. */
  divide(direction) {
    const slider = this.root.querySelector("img-comparison-slider");
    if (!slider) return;
    slider.value = Math.max(0, Math.min(100, slider.value + direction * DIVIDE));
    this.divided(slider);
  }

  /** What is on the stage: without something to compare with, the picture is alone. */
  get shown() {
    return this.canCompare ? this.mode : "after";
  }

  get canCompare() {
    return Boolean(this.before && this.after && !this.before.missing && !this.after.missing);
  }

  draw() {
    const { before, after } = this;
    this.root.className = `stage as-${this.shown}${this.zoomed ? " zoomed" : ""}`;
    const alone = [after, before].find((each) => each && !each.missing);
    if (!alone) {
      this.root.replaceChildren(element("div", { class: "words" }, after?.missing ?? this.words));
      return;
    }
    const panes = {
      slider: () => [this.pane([this.slider()], ["before", "after"])],
      side: () => [this.pane([this.image(before)], ["before"]), this.pane([this.image(after)], ["after"])],
      difference: () => [this.pane([this.image(before), this.image(after, "over")], [])],
      after: () => [this.pane([this.image(alone)], [alone === after ? "after" : "before"])],
    }[this.shown]();
    this.root.replaceChildren(...panes);
    this.warn();
    if (this.shown === "side") this.together(panes);
    this.fit();
  }

  pane(contents, tags) {
    const canvas = element("div", { class: "canvas" }, contents);
    const labels = tags.map((tag) => element("span", { class: `tag ${tag}` }, this[tag].label));
    return element("div", { class: "frame" }, element("div", { class: "pane", tabindex: "-1" }, canvas), labels);
  }

  image(picture, name = "") {
    const image = element("img", { src: picture.url, alt: picture.label, class: name, draggable: "false" });
    image.addEventListener("load", () => {
      picture.width ??= image.naturalWidth;
      picture.height ??= image.naturalHeight;
      this.warn();
      this.fit();
    });
    image.addEventListener("error", () => this.missing(picture));
    return image;
  }

  /** Says why a picture can't be shown; the other one is then alone. */
  async missing(picture) {
    const answer = await fetch(picture.url, { cache: "no-store" }).catch(() => null);
    const body = await answer?.json().catch(() => null);
    picture.missing = [`${picture.label} can't be shown`, body?.error].filter(Boolean).join(": ");
    if (picture !== this.before && picture !== this.after) return; // another job is on the stage by now
    this.draw();
    this.turned();
  }

  slider() {
    const slider = element("img-comparison-slider", {
      handle: this.zoomed ? "true" : null,
      role: "slider",
      "aria-label": "Divider between before and after",
      "aria-valuemin": "0",
      "aria-valuemax": "100",
      "aria-valuenow": Math.round(this.divider),
    });
    slider.value = this.divider;
    const [left, right] = [this.image(this.before), this.image(this.after)];
    left.setAttribute("slot", "first");
    right.setAttribute("slot", "second");
    slider.append(left, right, element("span", { class: "knob", slot: "handle" }));
    slider.addEventListener("slide", () => this.divided(slider));
    // After the mouse has moved the divider, arrows go from job to job again; somebody who came by Tab keeps it.
    slider.addEventListener("pointerup", () => slider.blur());
    return slider;
  }

  divided(slider) {
    this.divider = slider.value;
    slider.setAttribute("aria-valuenow", Math.round(slider.value));
  }

  warn() {
    const words = this.caution();
    this.root.querySelector(".caution")?.remove();
    if (words) this.root.append(element("p", { class: "caution" }, words));
  }

  /** What has to be known to judge by what is shown. */
  caution() {
    const { before, after } = this;
    if (!after) return this.words;
    if (after.missing || before?.missing) return after.missing ?? before.missing;
    if (this.shown !== "difference" || !before.width || !after.width) return null;
    const skew = Math.abs(before.width / before.height / (after.width / after.height) - 1);
    return skew > 0.01
      ? `Not the same shape: ${before.width} × ${before.height} before, ${after.width} × ${after.height} after. More differs than was edited.`
      : null;
  }

  /** Gives the canvases their size. */
  fit() {
    const lead = [this.after, this.before].find((each) => each && !each.missing);
    if (!lead) return;
    const panes = [...this.root.querySelectorAll(".pane")];
    const wide = lead.width ?? 1;
    const high = lead.height ?? 1;
    const room = { width: this.root.clientWidth, height: this.root.clientHeight };
    const beside = Math.min((room.width - GAP) / 2 / wide, room.height / high);
    const below = Math.min(room.width / wide, (room.height - GAP) / 2 / high);
    this.root.classList.toggle("below", panes.length === 2 && below > beside);
    for (const pane of panes) {
      const scale = this.zoomed ? 1 / devicePixelRatio : Math.min(1, pane.clientWidth / wide, pane.clientHeight / high);
      pane.parentElement.dataset.scale = `${Math.round(scale * devicePixelRatio * 100)} %`;
      const canvas = pane.firstElementChild;
      canvas.style.width = `${Math.floor(wide * scale)}px`;
      canvas.style.height = `${Math.floor(high * scale)}px`;
    }
  }

  /** Two panes that show the same part of their pictures. */
  together(frames) {
    const panes = frames.map((frame) => frame.querySelector(".pane"));
    for (const [one, other] of [panes, panes.toReversed()]) {
      one.addEventListener("scroll", () => other.scrollTo(one.scrollLeft, one.scrollTop), { passive: true });
    }
  }

  /** Moves a picture at 100 % under the mouse; a finger scrolls by itself. */
  drag(event) {
    const pane = event.target.closest?.(".pane");
    if (!pane || !this.zoomed || event.pointerType === "touch" || event.button !== 0) return;
    const slider = event.target.closest("img-comparison-slider");
    if (slider && onHandle(slider, event)) return;
    event.preventDefault();
    const done = new AbortController();
    const [x, y, left, top] = [event.clientX, event.clientY, pane.scrollLeft, pane.scrollTop];
    window.addEventListener(
      "pointermove",
      (moved) => pane.scrollTo(left - moved.clientX + x, top - moved.clientY + y),
      { signal: done.signal },
    );
    window.addEventListener("pointerup", () => done.abort(), { signal: done.signal });
  }
}

function onHandle(slider, event) {
  const box = slider.getBoundingClientRect();
  return Math.abs(event.clientX - box.left - (box.width * slider.value) / 100) < 26;
}
