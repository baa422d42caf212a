import { days, hours, minutes, type EphemeralTokenFields } from 'nestjs-latchkey';
import type { TestDatabase } from './database.js';

export const ADA = 'ada@example.com';

type BuiltIn = Exclude<keyof EphemeralTokenFields, `team_${string}`>;

/** Of a type: fields for it, what its presenter repeats, and its lifetime. */
export type Example<Type extends keyof EphemeralTokenFields> = [
  fields: EphemeralTokenFields[Type],
  binding: string | undefined,
  ttl: number,
];

/** Every type that comes with the module. */
export const BUILT_IN: { [Type in BuiltIn]: Example<Type> } = {
  pre_auth: [{ username: ADA, challengeId: 'a cookie' }, 'a cookie', minutes(5)],
  oidc_state: [{ providerId: 7, nonce: 'n', codeVerifier: 'v' }, undefined, minutes(10)],
  oidc_exchange: [{ username: ADA }, undefined, minutes(2)],
  oidc_link: [
    { account: '7', email: ADA, identity: { provider: 'idp', issuer: 'http://localhost:1', subject: 's' } },
    undefined,
    minutes(10),
  ],
  password_reset: [{ username: ADA }, undefined, hours(1)],
  email_otp_setup: [{ username: ADA, codeHash: '$argon2id$…' }, undefined, minutes(10)],
  login_code: [{ username: ADA, codeHash: '$argon2id$…' }, undefined, minutes(10)],
  trusted_browser: [{ username: ADA, account: '7', trustedAt: 1 }, undefined, days(30)],
  slicer_download: [{ resource: 'archive:5' }, 'archive:5', minutes(5)],
  register: [{ email: 'new@example.com', passwordHash: '$argon2id$…' }, undefined, hours(24)],
  email_change: [{ username: ADA, account: '7', from: ADA, to: 'new@example.com' }, undefined, hours(1)],
  magic_link: [{ username: ADA, account: '7', codeHash: 'c'.repeat(64) }, undefined, minutes(10)],
  totp_setup: [{ username: ADA, challengeId: 'a session', sealedSecret: 'sealed' }, 'a session', minutes(10)],
  passkey_register: [{ username: ADA, challengeId: 'a session', userHandle: 'h' }, 'a session', minutes(5)],
  passkey_assert: [{ purpose: 'login', challengeId: 'a browser' }, 'a browser', minutes(5)],
  email_revert: [
    { account: '0b9d2c6e-0000-4000-8000-000000000000', from: 'old@example.com', changedAt: 1 },
    undefined,
    days(7),
  ],
  factor_revert: [{ account: '0b9d2c6e-0000-4000-8000-000000000000', email: ADA, addedAt: 1 }, undefined, days(7)],
};

/** Two resets of one account at once, as a program without our lock would leave them. */
export async function twoResets(db: TestDatabase, issue: () => Promise<string>): Promise<[string, string]> {
  const first = await issue();
  await db.query("UPDATE auth_ephemeral_tokens SET token_type = 'aside'");
  const second = await issue();
  await db.query("UPDATE auth_ephemeral_tokens SET token_type = 'password_reset'");
  return [first, second];
}
