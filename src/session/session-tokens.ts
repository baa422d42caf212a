/** How a session's token is spelled, and which row it names. Chosen by `session.tokenFormat`. */
export abstract class SessionTokens {
  /** A fresh token. */
  abstract issue(): string;

  /** The row's id, 64 hex digits, or `null` for anything that is not such a token: that costs no query. */
  abstract idOf(token: string): string | null;
}
