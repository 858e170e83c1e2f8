// What a person has chosen for this browser. It is a convenience: without storage every choice is at its default.

const DEFAULTS = { advance: true, keys: true, pairs: false, size: 1, mode: "slider" };

function read(name) {
  try {
    return JSON.parse(localStorage.getItem(`review.${name}`));
  } catch {
    return null;
  }
}

/** A choice, or its default where none of the same type was stored. */
export function setting(name) {
  const stored = read(name);
  return typeof stored === typeof DEFAULTS[name] ? stored : DEFAULTS[name];
}

/** Keep a choice. */
export function choose(name, value) {
  try {
    localStorage.setItem(`review.${name}`, JSON.stringify(value));
  } catch {
    // A browser that stores nothing: the choice holds until the page is left.
  }
}

/** What this tab remembers from page to page, such as which job was looked at last. */
export const tab = {
  get(name) {
    try {
      return JSON.parse(sessionStorage.getItem(`review.${name}`));
    } catch {
      return null;
    }
  },
  set(name, value) {
    try {
      sessionStorage.setItem(`review.${name}`, JSON.stringify(value));
    } catch {
      // As above.
    }
  },
};
