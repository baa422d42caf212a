/** In the project `long`, which repeats what is decided by chance many more times. */
export const LONG = (globalThis as { LATCHKEY_LONG?: boolean }).LATCHKEY_LONG === true;

/** Races of each test: enough to lose most of them without what they prove. */
export const RACES = LONG ? 100 : 25;
