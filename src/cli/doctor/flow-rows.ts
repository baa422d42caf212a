import { hours, minutes } from '../../common/duration.js';
import type { AuthConfig } from '../../config/auth-config.js';
import type { Row } from './checklist-row.js';
import { providerRows } from './provider-rows.js';
import { perWindow, spelled } from './spelled.js';

/** What is required of the flows that there are. */
export function flowRows(config: AuthConfig): Row[] {
  const { flows } = config;
  return [
    ['F11', 'A6.3.4', 'Every way in asks for the same factors', 'sessions begin in LoginService only'],
    ['G4', 'A6.1.3', 'Every way in has the same limits', 'failures are counted for the account, whatever was tried'],
    ...passkeyRows(config),
    ...(flows.registration ? registrationRows(config) : []),
    ...(flows.magicLink ? magicLinkRows(config) : []),
    ...mailboxRows(config),
    ...(flows.passwordChange ? passwordChangeRows(config) : []),
    ...(flows.passwordReset ? passwordResetRows(config) : []),
    ...askingRows(config),
    ...(flows.apiKeys ? API_KEY_ROWS : []),
    ...(flows.pages ? PAGE_ROWS : []),
    ...providerRows(config),
    ...noticeRows(config),
  ];
}

const PAGE_ROWS: readonly Row[] = [
  ['F87', 'A3.4.3', 'Pages', 'run only their own files: Content-Security-Policy without anything unsafe'],
  ['F87', 'A3.4.6', 'Pages in frames', 'nowhere'],
  ['F33', 'A6.2.6', 'Password fields', 'hide what is typed (type="password")'],
  ['F33', 'A6.2.7', 'Pasted passwords and password managers', 'allowed, and told which field is which (autocomplete)'],
];

const API_KEY_ROWS: readonly Row[] = [
  ['F80', 'A6.5.2', 'API keys', 'SHA-256 of 256 bits, 366 days at most'],
  ['F78', 'A8.2.1', 'Reach of API keys', 'handlers with @AllowApiKey, within their scopes'],
];

function passkeyRows({ flows: { passkeys } }: AuthConfig): Row[] {
  if (!passkeys) return [];
  return [
    [
      'F72',
      'A6.3.3',
      'A phishing-resistant factor',
      `passkeys of ${passkeys.rpId}, used at ${passkeys.origins!.join(', ')}`,
    ],
    ['F72', 'N2.2.2', 'Logins by passkey', 'the user is verified'],
  ];
}

function registrationRows({ ephemeralTokens }: AuthConfig): Row[] {
  const { ttl } = ephemeralTokens.get('register')!;
  return [
    ['E10', 'A6.4.1', 'Mailed registration', spelled(ttl), ttl > hours(24) && 'at most 24 h'],
    ['E10', 'A6.4.1', 'Mailboxes are proven', 'before there is an account'],
  ];
}

function magicLinkRows({ ephemeralTokens }: AuthConfig): Row[] {
  const { ttl } = ephemeralTokens.get('magic_link')!;
  return [
    ['F76', 'A6.5.5', 'Mailed logins', spelled(ttl), ttl > minutes(10) && 'at most 10 min'],
    ['F76', 'A6.5.1', 'Mailed logins are used', 'once'],
    ['F76', 'A6.6.2', 'A mailed login is bound', 'to the browser that asked'],
  ];
}

function mailboxRows({ flows }: AuthConfig): Row[] {
  if (!flows.passwordReset && !flows.magicLink && !flows.emailChange) return [];
  const value = flows.legacyVerified
    ? 'count as proved'
    : 'their first proof takes them over, without passwords, factors and keys';
  return [['F77', 'A6.4.1', 'Accounts whose mailbox nobody has proved', value]];
}

function passwordChangeRows({ rateLimits }: AuthConfig): Row[] {
  const guesses = rateLimits.policies['password_change']!;
  return [
    ['F39', 'A6.2.2', 'Users change their passwords', 'POST change-password'],
    [
      'F39',
      'A6.2.3',
      'The current password is asked for',
      `${perWindow(guesses)}; a first password needs a fresh session`,
      guesses.limit > 100 && 'more than 100 guesses',
    ],
  ];
}

function passwordResetRows({ flows }: AuthConfig): Row[] {
  return [
    [
      'F36',
      'A6.4.3',
      'A reset keeps the second factor',
      `it opens no session and touches no factor${flows.legacyVerified ? '' : ' of an account whose mailbox was proved before'}`,
    ],
    ['F45', 'A6.4.2', 'Hints and secret questions', 'none'],
    [
      'F36',
      'A6.4.4',
      'A lost second factor',
      flows.twoFactor?.backupCodes ? 'backup codes; users reset-factors' : 'users reset-factors, by an operator',
    ],
  ];
}

/** Of what anybody may ask a mail for. */
function askingRows({ flows, rateLimits }: AuthConfig): Row[] {
  if (!flows.registration && !flows.passwordReset && !flows.emailChange && !flows.magicLink) return [];
  const { mail_ip: address, mail_network: network } = rateLimits.policies;
  return [
    ['F14', 'A6.3.8', 'Answers tell who has an account', 'no; mails are sent after the answer'],
    [
      'F16',
      'A6.3.1',
      'Requests for mails',
      `${perWindow(address!)} of an address, ${perWindow(network!)} of an IPv6 /48`,
      address!.limit > 1_000 && 'more than 1,000 of an address',
    ],
  ];
}

function noticeRows({ flows, mail }: AuthConfig): Row[] {
  const { passkeys, passwordReset, passwordChange, emailChange, accountDeletion, apiKeys, oidc } = flows;
  const changes = [passkeys, passwordReset, passwordChange, emailChange, accountDeletion, apiKeys, oidc];
  if (changes.every((flow) => flow === undefined)) return [];
  return [
    [
      'E11',
      'A6.3.7',
      'Owners hear of changes',
      mail ? 'by mail' : 'from nobody',
      !mail && 'without a mailer nobody tells the owner of a new password, a new API key or a deletion',
    ],
  ];
}
