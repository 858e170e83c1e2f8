// What a filter shows, loaded page by page as it comes into sight.

import { get } from "./api.js";
import { samePicture } from "./judging.js";

const PAGE = 200;

/**
 * The list as it was when the filter was set: a picture that was judged away since keeps its place, so that nothing
 * moves under the reader's eyes. `path` is /api/jobs or /api/grid; `entries(answer)` takes the list out of an answer;
 * `cards(entry)` gives the cards of an entry; `matches(card)` says whether a card still belongs to the filter;
 * `changed` hears which places have something new; `settled()` resolves when the server has every verdict that was given here.
 */
export class Collection {
  constructor({ path, query, entries, cards, matches, changed, settled }) {
    Object.assign(this, { path, query, entries, cards, matches, changed, settled });
    this.acts = 0;
    this.list = new Map();
    this.asked = new Map();
    this.away = new Set(); // places whose picture was judged away here
    this.total = 0;
    this.pictures = 0;
    this.version = null;
    this.stale = false;
    this.ended = new AbortController();
  }

  /** Loads the first page, or the one that has `place`. */
  async open(place = 0) {
    const answer = await this.ask(Math.floor(place / PAGE));
    this.head = answer;
    this.total = answer.total;
    this.pictures = answer.pictures ?? answer.total;
    this.version = answer.version;
    this.put(Math.floor(place / PAGE), answer);
    return this;
  }

  /** The entry at a place, where it is loaded. */
  at(place) {
    return this.list.get(place);
  }

  /** Loads what is missing between two places. Calls `changed` for what came. */
  want(first, last) {
    for (let page = Math.floor(first / PAGE); page <= Math.floor(Math.max(first, last) / PAGE); page += 1) {
      if (this.asked.has(page) || page * PAGE >= this.total) continue;
      this.load(page).catch(() => this.asked.delete(page));
    }
  }

  /** The places of a picture. */
  *places(picture) {
    for (const [place, entry] of this.list)
      if (this.cards(entry).some((card) => samePicture(card, picture))) yield place;
  }

  /** Writes a change into every card of a picture; returns the places it concerns. */
  change(picture, change) {
    this.acts += 1;
    const places = [...this.places(picture)];
    for (const place of places) {
      for (const card of this.cards(this.at(place))) if (samePicture(card, picture)) Object.assign(card, change);
      this.judgeAway(place);
    }
    return places;
  }

  /** What was judged away belongs to the filter again: its verdict was taken back. */
  comeBack(picture) {
    for (const place of this.places(picture)) if (this.away.delete(place)) this.pictures += 1;
    this.acts += 1;
  }

  /** The place of a job among what is loaded, or -1. */
  placeOf(jobId) {
    for (const [place, entry] of this.list) if (this.cards(entry).some((card) => card.job_id === jobId)) return place;
    return -1;
  }

  /** Asks again for what is in sight, in place; where the list itself is another one now, it is said to be stale. */
  async renew(first, last) {
    const pages = new Set();
    for (let page = Math.floor(first / PAGE); page <= Math.floor(Math.max(first, last) / PAGE); page += 1)
      pages.add(page);
    for (const page of [...this.asked.keys()]) if (!pages.has(page)) this.forget(page);
    for (const page of pages) {
      const answer = await this.ask(page);
      this.version = answer.version;
      this.pictures = answer.pictures ?? this.pictures;
      if (this.same(page, answer)) this.put(page, answer);
      else this.markStale(page, answer);
    }
  }

  /** No answer is waited for any longer. */
  end() {
    this.ended.abort();
  }

  async load(page) {
    const loading = this.ask(page);
    this.asked.set(page, loading);
    const answer = await loading;
    this.put(page, answer);
    if (answer.total + this.away.size !== this.total && !this.stale) this.markStale(page, answer);
  }

  async ask(page) {
    const from = page * PAGE;
    for (;;) {
      await this.settled();
      const acts = this.acts;
      const before = [...this.away].filter((place) => place < from).length;
      const within = [...this.away].filter((place) => place >= from && place < from + PAGE).length;
      const query = new URLSearchParams(this.query);
      query.set("offset", from - before);
      // Where all of a page was judged away, one is asked for and left out.
      query.set("limit", Math.max(1, PAGE - within));
      const answer = await get(`${this.path}?${query}`, this.ended.signal);
      if (acts === this.acts) return answer; // else it may be of before a verdict that the page shows already
    }
  }

  /** The places that the entries of an answer have, those left out that were judged away. */
  slots(page, answer) {
    const slots = [];
    let place = page * PAGE;
    for (const entry of this.entries(answer)) {
      while (this.away.has(place)) place += 1;
      if (place >= (page + 1) * PAGE) break;
      slots.push([place, entry]);
      place += 1;
    }
    return slots;
  }

  put(page, answer) {
    if (!this.asked.has(page)) this.asked.set(page, Promise.resolve());
    const places = [];
    for (const [place, entry] of this.slots(page, answer)) {
      this.list.set(place, entry);
      places.push(place);
    }
    this.changed(places);
  }

  same(page, answer) {
    if (answer.total + this.away.size !== this.total) return false;
    return this.slots(page, answer).every(([place, entry]) => {
      const known = this.at(place);
      return !known || this.key(known) === this.key(entry);
    });
  }

  key(entry) {
    return entry.job_id ?? entry.input.label;
  }

  markStale(page, answer) {
    this.stale = true;
    const fresh = new Map(this.entries(answer).map((entry) => [this.key(entry), entry]));
    const places = [];
    for (const [place, entry] of this.list) {
      const newer = fresh.get(this.key(entry));
      if (newer) this.list.set(place, newer);
      places.push(place);
    }
    this.changed(places);
  }

  judgeAway(place) {
    const entry = this.at(place);
    const stays = this.cards(entry).some((card) => this.matches(card));
    if (stays === !this.away.has(place)) return;
    if (stays) this.away.delete(place);
    else this.away.add(place);
    this.pictures += stays ? 1 : -1;
  }

  forget(page) {
    this.asked.delete(page);
    for (let place = page * PAGE; place < (page + 1) * PAGE; place += 1)
      if (!this.away.has(place)) this.list.delete(place);
  }
}
