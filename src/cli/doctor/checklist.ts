import { hours } from '../../common/duration.js';
import type { AuthConfig } from '../../config/auth-config.js';
import type { HostConfiguration } from '../host.js';
import type { Aal } from './aal.js';
import { spelled } from './spelled.js';
import type { Row } from './checklist-row.js';
import { factorRows } from './factor-rows.js';
import { flowRows } from './flow-rows.js';
import { guessingRows } from './guessing-rows.js';
import { isCleanupOff } from './option-findings.js';
import { passwordRows } from './password-rows.js';
import { sessionRows } from './session-rows.js';

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
    ...sessionRows(config, aal),
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
