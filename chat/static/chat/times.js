// Times as people say them, in the viewer's zone and language.

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const RELATIVE = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60]]; // seconds

/** "10:03" */
export const clock = (date) => CLOCK.format(date);

/** "Sunday 22 November" */
export const day = (date) => DAY.format(date);

/** The whole of it, with the zone. */
export const exact = (date) => EXACT.format(date);

/** "3 min. ago", or the date if that is more than a week ago; "in 14 days". */
export function relative(date, now = new Date()) {
  const seconds = (date - now) / 1000;
  if (seconds < -7 * 86400) return date.toLocaleDateString();
  if (seconds <= -86400) return RELATIVE.format(Math.round((midnight(date) - midnight(now)) / 86400_000), "day");
  for (const [unit, length] of UNITS) {
    if (Math.abs(seconds) >= length) return RELATIVE.format(whole(seconds / length), unit);
  }
  return gettext("just now");
}

// "Yesterday" is the day before, not 24 to 48 hours ago. Some days have 23 or 25.
const midnight = (date) => new Date(date).setHours(0, 0, 0, 0);

/** How long ago, in the largest unit: "5 min". */
export function span(date, now = new Date()) {
  const seconds = Math.max(0, (now - date) / 1000);
  const [unit, length] = UNITS.find(([, length]) => seconds >= length) ?? UNITS.at(-1);
  const number = Math.floor(seconds / length);
  return number.toLocaleString(undefined, { style: "unit", unit, unitDisplay: "short" });
}

// What was set to two weeks is "in 14 days" a second later; what is past has to be whole.
const whole = (count) => (count > 0 ? Math.round(count) : Math.trunc(count));

/** A <time> that shows `text` and the exact time on hover. */
export function timeElement(date, text) {
  const element = document.createElement("time");
  element.dateTime = date.toISOString();
  element.title = exact(date);
  element.textContent = text;
  return element;
}
