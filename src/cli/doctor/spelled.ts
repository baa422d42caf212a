import { days, hours, minutes, type Duration } from '../../common/duration.js';

const UNITS = [
  ['d', days(1)],
  ['h', hours(1)],
  ['min', minutes(1)],
  ['s', 1_000],
] as const;

/** `90 d`, `36 h`, `1500 ms`: in the largest unit that gives a whole number. */
export function spelled(duration: Duration): string {
  const [unit, size] = UNITS.find(([, length]) => duration >= length && duration % length === 0) ?? ['ms', 1];
  return `${duration / size} ${unit}`;
}

/** `5 in 15 min` */
export function perWindow({ limit, window }: { readonly limit: number; readonly window: Duration }): string {
  return `${limit} in ${spelled(window)}`;
}
