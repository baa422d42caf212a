import { newSessionToken, sessionIdOf } from './session.js';

/** How a session's token is spelled, and which row it names. Chosen by `session.tokenFormat`. */
export abstract class SessionTokens {
  /** A fresh token. */
  abstract issue(): string;

  /** The row's id, 64 hex digits, or `null` for anything that is not such a token: that costs no query. */
  abstract idOf(token: string): string | null;
}

/** The default: base64url of 32 random bytes, stored as the SHA-256 of the bytes (seed 002). */
export class OpaqueTokens extends SessionTokens {
  override issue(): string {
    return newSessionToken();
  }

  override idOf(token: string): string | null {
    return sessionIdOf(token);
  }
}
