/** Epoch milliseconds to the argument of `to_timestamp`, which takes seconds. */
export function toEpochSeconds(milliseconds: number): number {
  return milliseconds / 1000;
}

/** `date_part('epoch', …)` to epoch milliseconds, rounded to PostgreSQL's microsecond. */
export function fromEpochSeconds(seconds: number): number {
  return Math.round(seconds * 1e6) / 1000;
}

/**
 * SQL for a parameter that is an instant in epoch seconds. Qualified and cast, so that no other function of the same
 * name is called.
 */
export const instant = (parameter: string): string => `pg_catalog.to_timestamp(${parameter}::double precision)`;

/** SQL for a parameter that is a length of time in seconds. */
export const interval = (parameter: string): string =>
  `pg_catalog.make_interval(secs => ${parameter}::double precision)`;

/** SQL for an instant as epoch seconds. */
export const epochSeconds = (column: string): string => `pg_catalog.date_part('epoch'::text, ${column})`;

/**
 * SQL for these columns as a single one: the driver spends time on each column of each row, and for instants that adds
 * up to more than the rest of a lookup.
 */
export function selectInstants(...columns: string[]): string {
  return `ARRAY[${columns.map(epochSeconds).join(', ')}]::text`;
}

/** Converts a value of `selectInstants`, such as `{1763683200.25,NULL}`, to epoch milliseconds. */
export function readInstants(array: string): (number | null)[] {
  return array
    .slice(1, -1)
    .split(',')
    .map((seconds) => (seconds === 'NULL' ? null : fromEpochSeconds(Number(seconds))));
}
