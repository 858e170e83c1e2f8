// Figures and words as people read them.

const NUMBER = new Intl.NumberFormat("en-US");
const MOMENT = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });

/** `1,234`. */
export function count(number) {
  return NUMBER.format(number);
}

/** `1 picture`, `1,234 pictures`. */
export function counted(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** `$0.042`, `$12.50`; nothing for null. Cents are cut into tenths where the amount is small. */
export function money(usd) {
  if (usd === null || usd === undefined) return "";
  const places = usd !== 0 && usd < 1 ? 3 : 2;
  return `$${usd.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places })}`;
}

/** `4.2 s`, `73 s`; nothing for null. */
export function seconds(value) {
  if (value === null || value === undefined) return "";
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} s`;
}

/** `45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`. */
export function duration(value) {
  const whole = Math.round(value);
  if (whole < 120) return `${whole} s`;
  if (whole < 3600) return whole % 60 && whole < 600 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${Math.round(whole / 60)} min`;
  const minutes = Math.round(whole / 60);
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
  const hours = Math.round(minutes / 60);
  return `${Math.floor(hours / 24)} d${hours % 24 ? ` ${hours % 24} h` : ""}`;
}

/** How many a minute: `3.5`, `61`, `1,200`. */
export function pace(perMinute) {
  return perMinute.toLocaleString("en-US", { maximumFractionDigits: perMinute < 10 ? 1 : 0 });
}

/** `820 kB`, `1.2 MB`; nothing for null. */
export function bytes(value) {
  if (value === null || value === undefined) return "";
  if (value < 1000) return `${value} B`;
  return value < 1e6 ? `${Math.round(value / 1e3)} kB` : `${(value / 1e6).toFixed(1)} MB`;
}

/** An instant (UTC, ISO 8601) in the reader's own time zone; nothing for null. */
export function moment(text) {
  if (!text) return "";
  const at = new Date(text);
  return Number.isNaN(at.getTime()) ? text : MOMENT.format(at);
}

/** The last part of a path: `spring.yaml:8` of `/home/anna/spring.yaml:8`. */
export function fileName(path) {
  return path.split("/").pop();
}

const VERDICTS = { approved: "Approved", rejected: "Rejected", none: "To judge" };

/** What a verdict is called; null is "To judge". */
export function verdictWord(verdict) {
  return VERDICTS[verdict ?? "none"];
}

/** `error_kind` and its like as words. */
export function words(name) {
  return name.replaceAll("_", " ");
}
