/** Epoch milliseconds to the argument of `to_timestamp`, which takes seconds. */
export function toEpochSeconds(milliseconds: number): number {
  return milliseconds / 1000;
}

/** `date_part('epoch', …)` to epoch milliseconds, at PostgreSQL's microsecond. */
export function fromEpochSeconds(seconds: number): number {
  return Math.round(seconds * 1e6) / 1000;
}

/** SQL for a parameter that is an instant in epoch seconds. Qualified and cast: a function of the same name is not it. */
export const instant = (parameter: string): string => `pg_catalog.to_timestamp(${parameter}::double precision)`;

/** SQL for a parameter that is a length of time in seconds. */
export const interval = (parameter: string): string =>
  `pg_catalog.make_interval(secs => ${parameter}::double precision)`;

/** SQL for an instant as epoch seconds. */
export const epochSeconds = (column: string): string => `pg_catalog.date_part('epoch'::text, ${column})`;

/**
 * SQL for these columns as one: the driver has work with each column of each row, which for instants comes to more than
 * all of the rest of a lookup.
 */
export function selectInstants(...columns: string[]): string {
  return `ARRAY[${columns.map(epochSeconds).join(', ')}]::text`;
}

/** What `selectInstants` selects, such as `{1763683200.25,NULL}`, to epoch milliseconds. */
export function readInstants(array: string): (number | null)[] {
  return array
    .slice(1, -1)
    .split(',')
    .map((seconds) => (seconds === 'NULL' ? null : fromEpochSeconds(Number(seconds))));
}
