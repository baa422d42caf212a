import { Injectable } from '@nestjs/common';
import { AuditStore, type AuditedEvent } from '../audit/audit.store.js';
import { AuthConfig } from '../config/auth-config.js';
import type { PageTexts } from './page-texts.js';

/** What its owner wants to know of an account. */
const SHOWN = {
  'login.succeeded': 'eventSignIn',
  'password.changed': 'eventPassword',
  'password.reset': 'eventPassword',
  'password.disabled': 'eventPasswordDisabled',
  'email.changed': 'eventEmail',
  'email.reverted': 'eventEmailReverted',
  'factor.added': 'eventFactorAdded',
  'factor.reverted': 'eventFactorReverted',
  'factor.removed': 'eventFactorRemoved',
  'identity.linked': 'eventIdentityLinked',
  'identity.unlinked': 'eventIdentityUnlinked',
  'api_key.created': 'eventApiKeyCreated',
  'api_key.revoked': 'eventApiKeyRevoked',
  'session.reuse_detected': 'eventReuse',
} as const satisfies Partial<Record<AuditedEvent['type'], keyof PageTexts>>;

const TYPES = Object.keys(SHOWN) as (keyof typeof SHOWN)[];
const MOST = 10;

/** The latest events of an account, from the audit. */
@Injectable()
export class RecentEvents {
  constructor(
    private readonly store: AuditStore,
    private readonly config: AuthConfig,
  ) {}

  /** `null` without `audit.enabled`. */
  async of(userId: string): Promise<AuditedEvent[] | null> {
    return this.config.audit.enabled ? this.store.latestOf(userId, TYPES, MOST) : null;
  }
}

/** What a person calls it; by its type if it is for operators alone. */
export function eventName({ type }: AuditedEvent, texts: Readonly<PageTexts>): string {
  return Object.hasOwn(SHOWN, type) ? texts[SHOWN[type as keyof typeof SHOWN]] : type;
}
