import { minutes } from '../../common/duration.js';
import type { AuthConfig } from '../../config/auth-config.js';
import type { HostConfiguration } from '../host.js';
import type { Aal } from './aal.js';
import type { Row } from './checklist-row.js';
import { offeredFactors } from './offered-factors.js';
import { spelled } from './spelled.js';

/** What is required of the second factors that there are and, from AAL2 on, which there must be. */
export function factorRows(config: AuthConfig, host: HostConfiguration, aal: Aal | undefined): Row[] {
  const { totp, backupCodes, emailCode, trustedBrowsers } = config.flows.twoFactor ?? {};
  return [
    ...(totp ? totpRows() : []),
    ...(backupCodes ? backupCodeRows() : []),
    ...(emailCode ? mailedCodeRows(config.ephemeralTokens.get('login_code')!.ttl) : []),
    ...mailWorthRows(config),
    ...(trustedBrowsers === undefined ? [] : trustedBrowserRows(trustedBrowsers, aal)),
    ...(totp || backupCodes || emailCode ? budgetRows() : []),
    ...(totp || emailCode || config.flows.passkeys ? firstFactorRows(config) : []),
    ...(aal === '2' || aal === '3' ? offeredRows(config, host) : []),
  ];
}

function totpRows(): Row[] {
  return [
    ['F47', 'A6.5.8', 'The clock of TOTP', 'the server’s'],
    ['F47', 'A6.5.5', 'Codes of an authenticator', '30 s, and a step before and after'],
    ['F49', 'A6.5.1', 'Codes of an authenticator are used', 'once'],
    ['F48', 'A6.6.2', 'An enrolment is bound', 'to the session or login that asked, and proved before it is stored'],
  ];
}

function backupCodeRows(): Row[] {
  return [
    ['F52', 'A6.5.1', 'Backup codes are used', 'once'],
    ['F52', 'A6.5.2', 'Backup codes are stored', 'argon2id'],
  ];
}

function mailedCodeRows(ttl: number): Row[] {
  return [
    ['F53', 'A6.5.5', 'Mailed codes', spelled(ttl), ttl > minutes(10) && 'at most 10 min'],
    ['F53', 'A6.5.1', 'Mailed codes are used', 'once'],
    ['F53', 'A6.5.2', 'Mailed codes are stored', 'argon2id'],
    ['F53', 'A6.6.2', 'A mailed code is bound', 'to the login or session that asked'],
  ];
}

function mailWorthRows({ assurance: { emailCounts } }: AuthConfig): Row[] {
  const reason = emailCounts && 'mail is no factor: leave assurance.emailCounts out';
  return [
    [
      'F54',
      'A6.3.6',
      'A mailed code or link is a second factor',
      emailCounts ? 'a code after a password' : 'no',
      reason,
    ],
    [
      'F54',
      'N3.1.3.1',
      'A mailed code proves',
      emailCounts ? 'a second factor' : 'a mailbox, no second factor',
      reason,
    ],
  ];
}

function trustedBrowserRows(lifetime: number, aal: Aal | undefined): Row[] {
  const isShort = aal === undefined || aal === '1';
  const reason = !isShort && 'a login in a trusted browser proves one factor, and its session is of AAL1';
  return [['F56', 'N2.2.1', 'Trusted browsers', spelled(lifetime), reason]];
}

function budgetRows(): Row[] {
  return [['F51', 'N3.2.2', 'Wrong codes in a row', '100, then that factor is disabled and nothing else']];
}

/** A stolen session that is still fresh can add the first one, and a reset of the password leaves it. */
function firstFactorRows({ mail, ephemeralTokens }: AuthConfig): Row[] {
  const { ttl } = ephemeralTokens.get('factor_revert')!;
  const value = mail ? `by a mailed link, for ${spelled(ttl)}` : 'by an operator only';
  const reason = !mail && 'without a mailer its owner neither hears of it nor has a link: set mailer';
  return [['F46', 'A6.3.7', 'A first factor of a thief is taken back', value, reason]];
}

/** NIST SP 800-63B-4, 2.2.1 and 2.2.2. */
function offeredRows(config: AuthConfig, host: HostConfiguration): Row[] {
  const { flows } = config;
  const offered = offeredFactors(config, host).join(', ');
  const missing = offered === '' && 'nobody can reach AAL2: set flows.twoFactor.totp or flows.passkeys';
  return [
    ['F57', 'N2.2.1', 'A second factor is offered', offered || 'none', missing],
    [
      'F72',
      'N2.2.2',
      'A phishing-resistant option is offered',
      flows.passkeys ? 'passkeys' : 'none',
      !flows.passkeys && 'AAL2 has to offer one: set flows.passkeys',
    ],
  ];
}
