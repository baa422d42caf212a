/** An instant in epoch milliseconds; the digits after the point are microseconds, as `Clock` gives them. */
export type Instant = number;

const ISO_8601 =
  /^(\d{4}-\d{2}-\d{2})(?:[Tt _]([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:[.,](\d+))?)?([Zz]|([+-])([01]\d|2[0-3]):?([0-5]\d))?)?$/;
/**
 * The form that we and equalify-reflow write, read without any allocation: a signed cookie has up to four of them, and
 * would take a fifth longer to read.
 */
const CANONICAL =
  /^[1-9]\d{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{6})?Z$/;
const ZERO = '0'.charCodeAt(0);
const NUMBER = /^[+-]?\d+(?:\.\d+)?$/;
const EARLIEST = Date.parse('0001-01-01T00:00:00Z');
const LATEST = Date.parse('9999-12-31T23:59:59.999Z');
/** A larger number cannot mean seconds: it would be after the year 2603. */
const MAX_SECONDS = 20_000_000_000;

/** Whole microseconds since 1970. Comparing or subtracting instants in this form has no rounding errors. */
export function microseconds(instant: Instant): number {
  return Math.round(instant * 1000);
}

const MICROSECOND = 0.001;

/** `instant`, but at least a microsecond after `before`. */
export function later(instant: Instant, before: Instant | null | undefined): Instant {
  return Math.max(instant, (before ?? Number.NEGATIVE_INFINITY) + MICROSECOND);
}

/** ISO 8601 in UTC with 6 digits of a second, or none when they are all 0: `2025-01-01T00:00:00.120000Z`. */
export function formatInstant(instant: Instant): string {
  const total = microseconds(instant);
  const seconds = Math.floor(total / 1_000_000);
  const fraction = total - seconds * 1_000_000;
  const text = new Date(seconds * 1000).toISOString().slice(0, 19);
  return fraction === 0 ? `${text}Z` : `${text}.${String(fraction).padStart(6, '0')}Z`;
}

/**
 * Reads what pydantic reads as a datetime: ISO 8601 with any number of digits of a second (from the seventh on
 * ignored), a date alone, unix seconds or milliseconds as a number or a text. Without an offset it is UTC. Anything
 * else is `null`.
 */
export function parseInstant(value: unknown): Instant | null {
  const parsed = typeof value === 'number' ? fromNumber(value) : typeof value === 'string' ? fromText(value) : null;
  return parsed !== null && parsed >= EARLIEST && parsed <= LATEST ? parsed : null;
}

function fromNumber(value: number): Instant {
  return Math.abs(value) > MAX_SECONDS ? Math.round(value * 1000) / 1000 : Math.round(value * 1_000_000) / 1000;
}

function fromText(text: string): Instant | null {
  if (CANONICAL.test(text)) return fromCanonical(text);
  const [, date, hour = '00', minute = '00', second = '00', fraction = '', , sign, offsetHours, offsetMinutes] =
    ISO_8601.exec(text) ?? [];
  if (date === undefined) return NUMBER.test(text) ? fromNumber(Number(text)) : null;

  const whole = Date.parse(`${date}T${hour}:${minute}:${second}Z`);
  const local = assemble(whole, Number(fraction.padEnd(6, '0').slice(0, 6)), Number(date.slice(8)));
  const offset = sign === undefined ? 0 : Number(`${sign}1`) * (Number(offsetHours) * 60 + Number(offsetMinutes));
  return local === null ? null : local - offset * 60_000;
}

function fromCanonical(text: string): Instant | null {
  const two = (at: number) => text.charCodeAt(at) * 10 + text.charCodeAt(at + 1) - 11 * ZERO;
  const whole = Date.UTC(two(0) * 100 + two(2), two(5) - 1, two(8), two(11), two(14), two(17));
  const microsecond = text.length === 20 ? 0 : two(20) * 10_000 + two(22) * 100 + two(24);
  return assemble(whole, microsecond, two(8));
}

/** `null` for anything that is not a date, such as 30 February, which `Date` would read as a day in March. */
function assemble(whole: number, microsecond: number, day: number): Instant | null {
  if (Number.isNaN(whole) || (day > 28 && new Date(whole).getUTCDate() !== day)) return null;
  // Python's last instant, `datetime.max`, would be rounded up into the year 10000.
  return Math.min((whole * 1000 + microsecond) / 1000, LATEST);
}
