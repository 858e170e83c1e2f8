// Elements of the page. Text is only ever set as text: what came from a manifest or a provider can't become markup.

/** An element. `attributes` that are null, undefined or false are left out; `onclick` and the like are listeners. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** One of the signs that the page's shell defines, hidden from screen readers. */
export function sign(name) {
  const space = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(space, "svg");
  drawing.setAttribute("class", `sign sign-${name}`);
  drawing.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#sign-${name}`);
  drawing.append(use);
  return drawing;
}

/** The element of the page with this id. */
export function byId(id) {
  return document.getElementById(id);
}
