import { hours, minutes } from '../../common/duration.js';
import type { AuthConfig } from '../../config/auth-config.js';
import type { HostConfiguration } from '../host.js';
import { lifetimesOf, spelled, type Aal } from './aal.js';
import { factorRows, type Row } from './factor-rows.js';
import { providerRows } from './provider-rows.js';
import { isCleanupOff } from './option-findings.js';
import { passwordRows } from './password-rows.js';

/** One requirement of OWASP ASVS 5.0 or NIST SP 800-63B-4, and whether this configuration meets it. */
export interface ChecklistItem {
  readonly id: string;
  /** `A7.2.3` is ASVS, `N2.1.3` is NIST 800-63B-4. */
  readonly source: string;
  readonly topic: string;
  readonly value: string;
  readonly status: 'PASS' | 'DEVIATION';
  /** Why it deviates. */
  readonly reason?: string;
}

/**
 * The requirements that depend on the configuration; docs/requirements.md also lists those that this module always
 * meets.
 */
export function checklist(config: AuthConfig, host: HostConfiguration, aal: Aal | undefined): ChecklistItem[] {
  const rows = [
    ...tokenRows(config),
    ...cookieRows(config),
    ...lifetimeRows(config, aal),
    ...controlRows(config),
    ...trustRows(config, host),
    ...selfContainedRows(config),
    ...guessingRows(config),
    ...passwordRows(config),
    ...flowRows(config),
    ...factorRows(config, host, aal),
    ...operationRows(config, host),
  ];
  return rows.map(([id, source, topic, value, reason]) => ({
    id,
    source,
    topic,
    value,
    status: reason ? 'DEVIATION' : 'PASS',
    ...(reason ? { reason } : {}),
  }));
}

function tokenRows({ session, cookie }: AuthConfig): Row[] {
  const isStateless = session.scheme === 'signed-cookie';
  return [
    ['T1', 'A7.2.3', 'Token of 128 bits or more', isStateless ? 'signed identity' : `256 bits, ${session.tokenFormat}`],
    ['T6', 'A16.2.5', 'Tokens are stored hashed', isStateless ? 'not stored' : 'SHA-256'],
    [
      'T7',
      'N5.1.1',
      'The cookie names nothing',
      isStateless ? 'user id and email in it' : `'${cookie.name}', opaque`,
      isStateless && 'the signed cookie can be read by whoever holds it',
    ],
  ];
}

function cookieRows({ cookie, cookieName, routes }: AuthConfig): Row[] {
  return [
    ['K1', 'A3.3.1', 'Secure', cookie.secure ? 'on' : 'off', !cookie.secure && 'the cookie goes over plain http'],
    [
      'K1',
      'A3.3.3',
      '__Host- prefix',
      cookieName,
      !cookieName.startsWith('__Host-') && 'other hosts of the domain can set this cookie',
    ],
    [
      'K2',
      'N5.1.1',
      'Path and Domain',
      `Path=${cookie.path}, ${cookie.domain === undefined ? 'no Domain' : `Domain=${cookie.domain}`}`,
      cookie.domain !== undefined && 'every host of the domain gets the cookie',
    ],
    [
      'K3',
      'A3.3.2',
      'HttpOnly, SameSite',
      `HttpOnly, SameSite=${cookie.sameSite}`,
      cookie.sameSite === 'none' && 'foreign sites send it; only the Origin check is left',
    ],
    [
      'K7',
      'A14.3.1',
      'Logout clears the browser',
      routes?.clearSiteData ? 'Clear-Site-Data' : 'the cookie only',
      !routes?.clearSiteData && 'routes.clearSiteData is off: cached pages may stay in the browser',
    ],
  ];
}

function lifetimeRows({ session }: AuthConfig, aal: Aal | undefined): Row[] {
  const target = lifetimesOf(aal ?? '1');
  return [
    [
      'O1',
      'A7.3.2',
      'Overall timeout',
      spelled(session.absoluteLifetime),
      session.absoluteLifetime > target.overall &&
        `${target.name}: ${spelled(target.overall)}${aal ? '' : ' (SHOULD); users who are active log in less often'}`,
    ],
    [
      'O2',
      'A7.3.1',
      'Inactivity timeout',
      spelled(session.ttl),
      session.ttl > target.idle && `${target.name}: ${spelled(target.idle)}`,
    ],
    ['O3', 'N5.2', 'Activity moves the inactivity timeout only', session.extendBelow === 0 ? 'moves nothing' : 'yes'],
    ['O4', 'N5.2', 'Either timeout ends the session', 'yes, at the exact instant'],
    ['O6', 'A7.1.1', 'Values and deviations are documented', 'this list'],
  ];
}

function controlRows({ session, routes }: AuthConfig): Row[] {
  const isStateless = session.scheme === 'signed-cookie';
  return [
    ['X1', 'A7.4.1', 'Ended tokens are refused', isStateless ? 'list of ended tokens, cutoff' : 'row deleted, cutoff'],
    [
      'X4',
      'A7.4.5',
      'Operators end sessions',
      'sessions revoke',
      isStateless && 'signed cookies end by the account’s cutoff only',
    ],
    [
      'X5',
      'A7.5.2',
      'Users see and end their sessions',
      routes ? `GET /${routes.path}/sessions` : 'no routes',
      isStateless
        ? 'signed cookies are not listed'
        : routes
          ? 'ASVS 7.5.2 (level 2) wants a new proof of the user before a session is ended; the routes ask for none'
          : 'routes are off: offer SessionService.listForUser and revokeByHandle yourself',
    ],
    [
      'X6',
      'A7.1.2',
      'Parallel sessions',
      isStateless ? 'not counted' : `${session.maxPerUser}, then the least recently used ends`,
      isStateless && 'signed cookies are not counted',
    ],
    [
      'X7',
      'A7.4.4',
      'Logout',
      routes ? `POST /${routes.path}/logout` : 'no routes',
      !routes && 'offer one of your own',
    ],
  ];
}

function trustRows(
  { trustedOrigins, trustedProxies, trustsUnixSocket, loginPage }: AuthConfig,
  { extras }: HostConfiguration,
): Row[] {
  const isGuarded = extras.globalGuard !== false;
  return [
    [
      'F1',
      'A3.5.1',
      'Unsafe methods check the origin',
      isGuarded ? ['own host', ...trustedOrigins].join(', ') : 'where OriginGuard is',
      !isGuarded && 'globalGuard is off: nothing is checked where you forget OriginGuard',
    ],
    [
      'F4',
      'A15.3.4',
      'Client address',
      trustedProxies.length === 0 && !trustsUnixSocket
        ? 'the peer'
        : `X-Forwarded-For behind ${trustedProxies.length} networks${trustsUnixSocket ? ' and the Unix socket' : ''}`,
    ],
    ['F5', 'A3.7.2', 'Redirects', loginPage ?? 'none'],
    ['F6', 'A15.3.7', 'Two cookies of our name', 'refused'],
  ];
}

function selfContainedRows({ jwt, secrets }: AuthConfig): Row[] {
  return [
    ['J2', 'A9.1.2', 'One algorithm', jwt.algorithm],
    [
      'J4',
      'A9.2.1',
      'Lifetime of a token',
      spelled(jwt.ttl),
      jwt.sessions && jwt.ttl > hours(24) && 'a stolen one is good for days',
    ],
    ['J5', 'A9.2.2', 'Purpose', 'a key and a claim for each'],
    [
      'J6',
      'A9.2.3',
      'Audience',
      jwt.audience ?? 'none',
      jwt.sessions &&
        jwt.audience === null &&
        'bearer JWTs are on and jwt.audience is not: whoever shares the secret shares tokens',
    ],
    [
      'J7',
      'A11.2.2',
      'Keys are replaceable',
      secrets.reveal().length === 1 ? '1 secret' : `${secrets.reveal().length} secrets, the first signs`,
    ],
  ];
}

function guessingRows({ rateLimits, password, ephemeralTokens }: AuthConfig): Row[] {
  const { login_attempt: account, login_ip: address, login_network: network } = rateLimits.policies;
  const device = rateLimits.policies['login_known_device']!;
  const second = rateLimits.policies['2fa_attempt']!;
  const otp = ephemeralTokens.get('email_otp_setup')!;
  const reset = ephemeralTokens.get('password_reset')!;
  const { base, maxDelay } = rateLimits.backoff;
  const perWindow = ({ limit, window }: { limit: number; window: number }) => `${limit} in ${spelled(window)}`;
  return [
    ['E3', 'A6.5.5', 'Mailed code', spelled(otp.ttl), otp.ttl > minutes(10) && 'at most 10 min'],
    ['E5', 'A6.6.3', 'Second factors are limited', perWindow(second), second.limit > 100 && 'more than 100 guesses'],
    ['E9', 'N4.2', 'Mailed recovery', spelled(reset.ttl), reset.ttl > hours(24) && 'at most 24 h'],
    [
      'G1',
      'N3.2.2',
      'Failures in a row of an account',
      `${perWindow(account!)}, and ${password.maxFailures} until the password is disabled`,
      password.maxFailures > 100 && 'more than 100 failures in a row',
    ],
    [
      'G2',
      'N3.2.2',
      'Waiting time grows',
      base === 0 ? 'off' : `${spelled(base)} to ${spelled(maxDelay)}`,
      base === 0 && 'the back-off is off',
    ],
    ['G3', 'A6.1.1', 'Failures of an address', `${perWindow(address!)}, ${perWindow(network!)} of an IPv6 /48`],
    [
      'G3',
      'A6.1.1',
      'Strangers do not lock an owner out',
      `not of a known device, which has ${perWindow(device)}; elsewhere for ${spelled(account!.window)} at a time`,
    ],
    ['G7', 'A2.4.1', 'Costly work is bounded', `${password.concurrency} hashes at once, ${password.queue} wait`],
  ];
}

function flowRows(config: AuthConfig): Row[] {
  const { flows, ephemeralTokens, mail, rateLimits } = config;
  const link = ephemeralTokens.get('register')!;
  const changes = [
    flows.passkeys,
    flows.passwordReset,
    flows.passwordChange,
    flows.emailChange,
    flows.accountDeletion,
    flows.apiKeys,
    flows.oidc,
  ];
  const asks = [flows.registration, flows.passwordReset, flows.emailChange, flows.magicLink].some(
    (flow) => flow !== undefined,
  );
  const { mail_ip: address, mail_network: network, password_change: guesses } = rateLimits.policies;
  const perWindow = ({ limit, window }: { limit: number; window: number }) => `${limit} in ${spelled(window)}`;
  const ofChange: Row[] = [
    ['F39', 'A6.2.2', 'Users change their passwords', 'POST change-password'],
    [
      'F39',
      'A6.2.3',
      'The current password is asked for',
      `${perWindow(guesses!)}; a first password needs a fresh session`,
      guesses!.limit > 100 && 'more than 100 guesses',
    ],
  ];
  const ofReset: Row[] = [
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
  const ofRegistration: Row[] = [
    ['E10', 'A6.4.1', 'Mailed registration', spelled(link.ttl), link.ttl > hours(24) && 'at most 24 h'],
    ['E10', 'A6.4.1', 'Mailboxes are proven', 'before there is an account'],
  ];
  const ofPages: Row[] = [
    ['F87', 'A3.4.3', 'Pages', 'run only their own files: Content-Security-Policy without anything unsafe'],
    ['F87', 'A3.4.6', 'Pages in frames', 'nowhere'],
  ];
  const login = ephemeralTokens.get('magic_link')!;
  const ofLinks: Row[] = [
    ['F76', 'A6.5.5', 'Mailed logins', spelled(login.ttl), login.ttl > minutes(10) && 'at most 10 min'],
    ['F76', 'A6.5.1', 'Mailed logins are used', 'once'],
    ['F76', 'A6.6.2', 'A mailed login is bound', 'to the browser that asked'],
  ];
  const provesMailboxes = [flows.passwordReset, flows.magicLink, flows.emailChange].some((flow) => flow !== undefined);
  const ofMailboxes: Row[] = [
    [
      'F77',
      'A6.4.1',
      'Accounts whose mailbox nobody has proved',
      flows.legacyVerified
        ? 'count as proved'
        : 'their first proof takes them over, without passwords, factors and keys',
    ],
  ];
  const { passkeys } = flows;
  const ofPasskeys: Row[] = passkeys
    ? [
        [
          'F72',
          'A6.3.3',
          'A phishing-resistant factor',
          `passkeys of ${passkeys.rpId}, used at ${passkeys.origins!.join(', ')}`,
        ],
        ['F72', 'N2.2.2', 'Logins by passkey', 'the user is verified'],
      ]
    : [];
  const ofKeys: Row[] = [
    ['F80', 'A6.5.2', 'API keys', 'SHA-256 of 256 bits, 366 days at most'],
    ['F78', 'A8.2.1', 'Reach of API keys', 'handlers with @AllowApiKey, within their scopes'],
  ];
  return [
    ['F11', 'A6.3.4', 'Every way in asks for the same factors', 'sessions begin in LoginService only'],
    ['G4', 'A6.1.3', 'Every way in has the same limits', 'failures are counted for the account, whatever was tried'],
    ...ofPasskeys,
    ...(flows.registration ? ofRegistration : []),
    ...(flows.magicLink ? ofLinks : []),
    ...(provesMailboxes ? ofMailboxes : []),
    ...(flows.passwordChange ? ofChange : []),
    ...(flows.passwordReset ? ofReset : []),
    ...(asks
      ? ([
          ['F14', 'A6.3.8', 'Answers tell who has an account', 'no; mails are sent after the answer'],
          [
            'F16',
            'A6.3.1',
            'Requests for mails',
            `${perWindow(address!)} of an address, ${perWindow(network!)} of an IPv6 /48`,
            address!.limit > 1_000 && 'more than 1,000 of an address',
          ],
        ] satisfies Row[])
      : []),
    ...(flows.apiKeys ? ofKeys : []),
    ...(flows.pages ? ofPages : []),
    ...providerRows(config),
    ...(changes.some((flow) => flow !== undefined)
      ? ([
          [
            'E11',
            'A6.3.7',
            'Owners hear of changes',
            mail ? 'by mail' : 'from nobody',
            !mail && 'without a mailer nobody tells the owner of a new password, a new API key or a deletion',
          ],
        ] as const satisfies readonly Row[])
      : []),
  ];
}

function operationRows({ rateLimits, cache }: AuthConfig, host: HostConfiguration): Row[] {
  const isOpen = rateLimits.onStoreError === 'allow';
  return [
    [
      'L3',
      'A16.5.3',
      'Without the database',
      isOpen ? 'logins are not limited' : 'refused, 503',
      isOpen && 'fails open',
    ],
    [
      'L6',
      'A14.2.7',
      'Old rows are deleted',
      isCleanupOff(host) ? 'off' : 'on',
      isCleanupOff(host) && 'the cleanup is off',
    ],
    [
      'X1',
      'A7.4.1',
      'Until a revocation is received',
      cache.enabled ? `at most ${spelled(cache.channel === 'local' ? cache.ttl : cache.maxStaleness)}` : 'at once',
      cache.enabled && cache.channel === 'local' && 'other instances notice it when the entry is too old',
    ],
  ];
}
