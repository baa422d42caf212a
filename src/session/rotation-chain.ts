import type { KeyRing } from '../crypto/key-ring.js';
import { SealedText } from '../crypto/sealed-text.js';
import { isLive, type AuthenticatedSession, type StoredSession } from './session.js';
import type { SessionTokens } from './session-tokens.js';
import type { SessionStore } from './session.store.js';

/** The live session that a rotated one leads to, with its token. */
export interface SucceedingSession extends AuthenticatedSession {
  readonly successor: string;
}

/** How many rotations a token is followed through; only a client that rotates with every request comes near it. */
const MAX_ROTATIONS = 32;

/**
 * The path from a rotated session to the one that replaced it. Each row holds the token of the next, encrypted
 * under a key of `secrets` and bound to the row's id: whoever has the table alone can open none of them.
 */
export class RotationChain {
  private readonly sealed: SealedText;

  constructor(
    private readonly store: SessionStore,
    private readonly tokens: SessionTokens,
    keyRing: KeyRing,
  ) {
    this.sealed = new SealedText(keyRing.forPurpose('nestjs-latchkey:session-successor'));
  }

  /** The text to store in place of the session `id`, so that it leads to this token. */
  seal(token: string, id: string): string {
    return this.sealed.seal(token, id);
  }

  /**
   * The live session at the end of the rotations, or `null`. Each step's token becomes known only by opening the one
   * before.
   */
  async follow(start: StoredSession, now: number): Promise<SucceedingSession | null> {
    let found: StoredSession | null = start;
    let successor = '';
    for (let i = 0; found?.rotated && i < MAX_ROTATIONS; i++) {
      successor = this.sealed.open(found.rotated.successor ?? '', found.session.id) ?? '';
      const id = this.tokens.idOf(successor);
      found = id === null ? null : await this.store.find(id);
    }
    return found && isLive(found, now) ? { session: found.session, user: found.user, successor } : null;
  }
}
