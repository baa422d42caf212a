import { hash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import type { ProviderSession } from '../config/ephemeral-token-settings.js';
import { lifetimesOf } from '../config/session-settings.js';
import { ProviderSessions } from '../login/provider-sessions.js';
import type { EndedSession } from '../session/session.js';
import { IdentityStore } from './identity.store.js';
import type { VerifiedIdentity } from './verified-identity.js';

/** How many logins of one identity are remembered for each session that its user may have. */
const REMEMBERED = 4;

/** In place of the handle of a session that is not open yet. */
const HELD = 'held';

/** Keeps with the identity which sessions it has begun, for as long as one can live. */
@Injectable()
export class IdentitySessions extends ProviderSessions {
  constructor(
    private readonly identities: IdentityStore,
    private readonly clock: Clock,
    private readonly config: AuthConfig,
  ) {
    super();
  }

  override async record(
    { issuer, subject, session }: ProviderSession,
    { userId, handle }: Pick<EndedSession, 'userId' | 'handle'>,
  ): Promise<void> {
    const { session: settings } = this.config;
    const now = this.clock.now();
    const lifetimes = [true, false].map((remembered) => lifetimesOf({ remembered }, settings).absoluteLifetime);
    const limits = { since: now - Math.max(...lifetimes), most: settings.maxPerUser * REMEMBERED };
    await this.identities.recordSession({ userId, issuer, subject }, { session, handle, at: now }, limits);
  }

  override recordHeld(providerSession: ProviderSession, userId: string): Promise<void> {
    return this.record(providerSession, { userId, handle: HELD });
  }
}

/** What is kept of an issuer's name for a session. */
export const nameOfProviderSession = (issuer: string, sid: string): string =>
  hash('sha256', `${issuer}\n${sid}`, 'base64url');

/** The session at the provider by which somebody has come, if it is named. */
export function providerSessionOf({ issuer, subject, sid }: VerifiedIdentity): ProviderSession | undefined {
  return sid === undefined ? undefined : { issuer, subject, session: nameOfProviderSession(issuer, sid) };
}
