/** The format of session tokens, and the row that a token names. Chosen by `session.tokenFormat`. */
export abstract class SessionTokens {
  /** A fresh token. */
  abstract issue(): string;

  /** The row's id, 64 hex digits, or `null` for anything that is not such a token; that costs no query. */
  abstract idOf(token: string): string | null;
}
