/** So many wrong codes in a row disable a factor, and nothing else (NIST SP 800-63B-4, section 3.2.2). */
export const MAX_FAILURES = 100;
