import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import { TokenRevocationService } from '../revocation/token-revocation.service.js';
import { countsFrom, isLive, isSelfContained, type Session } from '../session/session.js';
import { SessionStore } from '../session/session.store.js';
import { isRefusal } from './request-authenticator.js';

/** Checks whether a session found earlier is still live, stored or self-contained. */
@Injectable()
export class SessionLiveness {
  constructor(
    private readonly store: SessionStore,
    private readonly revocation: TokenRevocationService,
    private readonly clock: Clock,
    private readonly config: AuthConfig,
  ) {}

  /** The instant at which it ends unless it is extended, or `null` if it is over. Throws `STORE_UNAVAILABLE`. */
  async endOf(session: Session): Promise<number | null> {
    return isSelfContained(session) ? this.endOfSelfContained(session) : this.endOfStored(session.id);
  }

  private async endOfSelfContained(session: Session): Promise<number | null> {
    const { userId: sub, id: jti, expiresAt, absoluteExpiresAt } = session;
    try {
      await this.revocation.userOf({ sub, jti, iat: countsFrom(session) });
    } catch (error) {
      if (isRefusal(error)) return null;
      throw error;
    }
    const end = Math.min(expiresAt, absoluteExpiresAt);
    return this.clock.now() < end ? end : null;
  }

  /** A rotated session lives on for its grace period, as its token does. */
  private async endOfStored(id: string): Promise<number | null> {
    const found = await this.store.find(id);
    if (!found) return null;
    const { session, user, rotated } = found;
    const expiresAt = rotated ? rotated.at + this.config.session.rotationGrace : session.expiresAt;
    const isOpen = isLive({ session: { ...session, expiresAt }, user }, this.clock.now());
    return isOpen ? Math.min(expiresAt, session.absoluteExpiresAt) : null;
  }
}
