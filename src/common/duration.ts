/** A length of time in **milliseconds**. Write it as `minutes(30)`, so that no option has to name its unit. */
export type Duration = number;

/**
 * This many seconds in milliseconds, the unit of every option.
 *
 * @example
 * ```ts
 * AuthModule.forRoot({ secrets, session: { ttl: hours(8), extendBelow: hours(4), rotationGrace: seconds(10) } });
 * ```
 */
export const seconds = (n: number): Duration => n * 1000;
/** This many minutes in milliseconds, as `seconds` does. */
export const minutes = (n: number): Duration => seconds(n * 60);
/** This many hours in milliseconds, as `seconds` does. */
export const hours = (n: number): Duration => minutes(n * 60);
/** This many days of 24 hours in milliseconds, as `seconds` does. */
export const days = (n: number): Duration => hours(n * 24);
