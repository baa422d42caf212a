import { randomUUID } from 'node:crypto';
import type { AuthModuleExtras, AuthOptions } from 'nestjs-latchkey';
import type { NewIdentity } from 'nestjs-latchkey/engine';
import { MAIL } from './flows.js';

const ISSUER = 'http://localhost:1';

/** What an application is made of in which people log in at a provider, and by passkeys. */
export const OIDC = {
  ...MAIL,
  flows: {
    oidc: { providers: [{ id: 'idp', label: 'Example ID', issuer: ISSUER, clientId: 'notes' }] },
    passkeys: { rpName: 'Notes' },
    emailChange: {},
    passwordReset: {},
  },
} satisfies Partial<AuthOptions> & AuthModuleExtras;

/** An identity of this user, to be stored. */
export function identityOf({ id: userId }: { readonly id: string }, more: Partial<NewIdentity> = {}): NewIdentity {
  const id = randomUUID();
  return {
    id,
    userId,
    provider: 'idp',
    issuer: ISSUER,
    subject: `subject-${id}`,
    email: 'ada@idp.example',
    linkedAt: 1_700_000_000_000,
    ...more,
  };
}
