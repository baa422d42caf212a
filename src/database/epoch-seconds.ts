/** Epoch milliseconds to the argument of `to_timestamp`, which takes seconds. */
export function toEpochSeconds(milliseconds: number): number {
  return milliseconds / 1000;
}

/** `date_part('epoch', …)` to epoch milliseconds, at PostgreSQL's microsecond. */
export function fromEpochSeconds(seconds: number): number {
  return Math.round(seconds * 1e6) / 1000;
}
