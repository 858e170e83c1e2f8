// Requests to this page's own server, and what became of the connection.

/** An answer that is no success. `body` is what the server said. */
export class Refused extends Error {
  constructor(status, body) {
    super(body?.error ?? `The server answered ${status}.`);
    this.status = status;
    this.body = body;
  }
}

/** Tells `lost`, `back` and `over` (the session has ended). */
export const connection = new EventTarget();
let lost = false;

function tell(kind) {
  connection.dispatchEvent(new Event(kind));
}

async function answer(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    lost = true;
    tell("lost");
    throw new Refused(0, { error: "batch-editor review doesn't answer." });
  }
  if (lost) {
    lost = false;
    tell("back");
  }
  const body = await response.json().catch(() => null);
  if (response.ok) return body;
  if (response.status === 403) tell("over");
  throw new Refused(response.status, body);
}

/** The JSON at a path of this server. Raises Refused. */
export function get(path, signal) {
  return answer(path, { signal });
}

/** What the server answers to this JSON. It arrives though the page is left. Raises Refused. */
export function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  return answer(path, { method: "POST", headers, body: JSON.stringify(body), keepalive: true });
}

/** The address of a job's page; `query` is the gallery's, so that next and previous keep to its order. */
export function jobAddress(jobId, query) {
  return `/job/${encodeURIComponent(jobId)}${query ? `?${query}` : ""}`;
}

/** Where to ask about a job. */
export function jobPath(jobId, query) {
  return `/api/jobs/${encodeURIComponent(jobId)}${query ? `?${query}` : ""}`;
}
