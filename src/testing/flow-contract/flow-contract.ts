import { randomBytes } from 'node:crypto';
import type { INestApplication } from '@nestjs/common';
import type { FlowName } from '../../config/flow-settings.js';
import { ACCOUNT_DELETION_RULES } from './account-deletion-rules.js';
import { ADMIN_RULES } from './admin-rules.js';
import { API_KEY_RULES } from './api-key-rules.js';
import { Contract, type Rule } from './contract.js';
import { EMAIL_CHANGE_RULES } from './email-change-rules.js';
import { linkRules } from './link-rules.js';
import { MAGIC_LINK_RULES } from './magic-link-rules.js';
import { OIDC_RULES } from './oidc-rules.js';
import { PAGE_RULES } from './page-rules.js';
import { PASSKEY_RULES } from './passkey-rules.js';
import { PASSWORD_CHANGE_RULES } from './password-change-rules.js';
import { PASSWORD_RESET_RULES } from './password-reset-rules.js';
import { REGISTRATION_RULES } from './registration-rules.js';
import { SECOND_FACTOR_RULES } from './second-factor-rules.js';
import { STEP_UP_RULES } from './step-up-rules.js';

/** A rule that a flow keeps, as a test for your own test runner. */
export interface FlowRule {
  /** With the code by which docs/requirements.md names it. */
  readonly title: string;
  /** Rejects, and says what was wrong, if the application does not keep the rule. */
  readonly run: () => Promise<void>;
}

export interface FlowContractOptions {
  /** The flows that the application has. */
  flows: readonly FlowName[];
  /** An address that no account has. Default: random ones at `example.com`. */
  email?: () => string;
  /** A password that your policy accepts, and no account has. Default: 24 random characters. */
  password?: () => string;
}

/**
 * The rules of the flows, to be run against your own configuration: your directory, your policy, your guards and
 * interceptors. The application must be listening, and its `mailer` be `MemoryMailer`. The rules make accounts of their
 * own, and empty the limits of the loopback address, from which they ask. A few make the directory or the mailer fail
 * for a moment, so run them one after the other.
 *
 * Not among them is what no single application shows from outside: a database that goes away (F22), a second process
 * (F24, F81), a provider that answers (F85), your log (F27), and times, which a busy machine blurs (F14).
 *
 * @example
 * ```ts
 * for (const { title, run } of flowContract(() => app, { flows: ['registration', 'passwordReset'] })) test(title, run);
 * ```
 */
export function flowContract(
  app: () => INestApplication,
  { flows, email = randomAddress, password = randomPassword }: FlowContractOptions,
): FlowRule[] {
  const run = async (rule: Rule[1]) => {
    const contract = new Contract(app(), email, password);
    await contract.emptyLimits();
    await rule(contract);
  };
  return flows.flatMap((flow) =>
    RULES[flow].flatMap(([title, rule, needs = []]) =>
      needs.every((other) => flows.includes(other)) ? { title, run: () => run(rule) } : [],
    ),
  );
}

const randomAddress = () => `contract-${randomBytes(9).toString('hex')}@example.com`;
const randomPassword = () => randomBytes(18).toString('base64url');

const RULES: Readonly<Record<FlowName, readonly Rule[]>> = {
  registration: [...linkRules('registration'), ...REGISTRATION_RULES],
  magicLink: [...linkRules('magicLink'), ...MAGIC_LINK_RULES],
  passwordReset: [...linkRules('passwordReset'), ...PASSWORD_RESET_RULES],
  passwordChange: PASSWORD_CHANGE_RULES,
  emailChange: [...linkRules('emailChange'), ...EMAIL_CHANGE_RULES],
  accountDeletion: ACCOUNT_DELETION_RULES,
  stepUp: STEP_UP_RULES,
  twoFactor: SECOND_FACTOR_RULES,
  passkeys: PASSKEY_RULES,
  oidc: OIDC_RULES,
  apiKeys: API_KEY_RULES,
  pages: PAGE_RULES,
  admin: ADMIN_RULES,
};
