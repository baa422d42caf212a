/** A length of time in **milliseconds**. Written as `minutes(30)`, so that an option never has to say its unit. */
export type Duration = number;

/** So many seconds, as the milliseconds that every option takes. */
export const seconds = (n: number): Duration => n * 1000;
/** So many minutes, as the milliseconds that every option takes: `minutes(30)`. */
export const minutes = (n: number): Duration => seconds(n * 60);
/** So many hours, as the milliseconds that every option takes. */
export const hours = (n: number): Duration => minutes(n * 60);
/** So many days of 24 hours, as the milliseconds that every option takes. */
export const days = (n: number): Duration => hours(n * 24);
