import { days, type AuthModuleExtras, type AuthOptions } from 'nestjs-latchkey';
import { FLOW_NAMES } from '../../src/config/flow-settings.js';
import { MAIL } from './flows.js';
import { PASSKEYS } from './passkeys.js';
import { PROVIDER } from './token-kinds.js';

/** Those that need more than their name. */
const SETTINGS: Record<string, object> = {
  twoFactor: { totp: {}, backupCodes: {}, emailCode: {}, trustedBrowsers: days(30) },
  passkeys: PASSKEYS.flows.passkeys,
  oidc: { providers: [{ id: PROVIDER.provider, issuer: PROVIDER.issuer, clientId: 'notes' }] },
  apiKeys: { scopes: ['notes:read'] },
};
const LIMITS = [
  'login_ip',
  'mail_ip',
  'revert_ip',
  'register_ip',
  'passkey_ip',
  'oidc_start_ip',
  'oidc_callback_ip',
  'password_reset_ip',
  '2fa_attempt',
  'email_send',
];

/** Every flow that there is, JWT sessions, and no limit in the way. */
export const EVERY_FLOW: Partial<AuthOptions> & AuthModuleExtras = {
  ...MAIL,
  jwt: { sessions: true },
  flows: Object.fromEntries(FLOW_NAMES.map((name) => [name, SETTINGS[name] ?? {}])),
  rateLimits: {
    backoff: { base: 0 },
    policies: Object.fromEntries(LIMITS.map((event) => [event, { limit: 100_000 }])),
  },
};
