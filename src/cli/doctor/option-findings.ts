import { days, hours, minutes, type Duration } from '../../common/duration.js';
import type { AuthConfig } from '../../config/auth-config.js';
import type { HostConfiguration } from '../host.js';
import { lifetimesOf, type Aal } from './aal.js';
import { offeredFactors } from './offered-factors.js';
import { spelled } from './spelled.js';
import { finding, type Finding } from './finding.js';

/** Wider than any private network: 10.0.0.0/8 is the widest, except for fd00::/8. */
const WIDEST = { ipv4: 8, ipv6: 16 } as const;
/** NIST 800-63B 3.2.2: no more than 100 failed attempts on an account. Many accounts may be behind one address. */
const MAX_ATTEMPTS: Readonly<Record<string, number>> = {
  login_attempt: 100,
  login_known_device: 100,
  '2fa_attempt': 100,
  password_change: 100,
  login_ip: 1_000,
  login_network: 10_000,
  password_reset_ip: 1_000,
  register_ip: 1_000,
  mail_ip: 1_000,
  mail_network: 10_000,
  api_key_ip: 1_000,
};
const MAX_MAILS = 100;
/** OWASP password storage cheat sheet: these cost an attacker the same. */
const ARGON2_MINIMA: readonly (readonly [memoryKiB: number, passes: number])[] = [
  [47_104, 1],
  [19_456, 2],
  [12_288, 3],
  [9_216, 4],
  [7_168, 5],
];
const TOKEN_LIFETIMES: Readonly<Record<string, Duration>> = {
  password_reset: hours(24),
  register: hours(24),
  email_change: hours(24),
  email_otp_setup: minutes(10),
  pre_auth: minutes(10),
};

/** Whether the configuration turns off the deletion of expired rows, which is on by default. */
export function isCleanupOff({ options }: HostConfiguration): boolean {
  const { cleanup } = options as { cleanup?: unknown };
  return cleanup === false || (cleanup as { enabled?: unknown } | undefined)?.enabled === false;
}

/** Findings about options that are valid but not advisable. */
export function optionFindings(config: AuthConfig, host: HostConfiguration, aal: Aal | undefined): Finding[] {
  return [
    ...cookieFindings(config),
    ...trustFindings(config, host),
    ...lifetimeFindings(config, aal),
    ...(aal === '2' || aal === '3' ? factorFindings(config, host) : []),
    ...limitFindings(config),
    ...(isCleanupOff(host)
      ? [finding('AUTH_D50', 'The cleanup is off.', 'Turn it on, or run `npx nestjs-latchkey cleanup` from cron.')]
      : []),
    ...(config.cache.enabled && config.cache.channel === 'local'
      ? [finding('AUTH_D51', "cache.channel is 'local'.", "With more than one instance use 'postgres'.")]
      : []),
  ];
}

function* cookieFindings({ cookie, trustedOrigins }: AuthConfig): Iterable<Finding> {
  if (!cookie.secure) yield finding('AUTH_D10', 'cookie.secure is off.', 'Leave it out, and serve over https.');
  if (cookie.sameSite === 'none') {
    yield finding('AUTH_D11', "cookie.sameSite is 'none'.", "Use 'lax', unless pages of other sites embed yours.");
  }
  if (cookie.secure && !cookie.hostPrefix) {
    yield finding(
      'AUTH_D12',
      'cookie.hostPrefix is off.',
      'Turn it on as soon as the old system’s cookies have expired.',
    );
  }
  const plain = trustedOrigins.filter((origin) => /^http:\/\/(?!localhost\b|127\.|\[::1\])/.test(origin));
  for (const origin of plain) {
    yield finding('AUTH_D13', `trustedOrigins has ${origin}.`, 'Everybody on its network is trusted too: use https.');
  }
}

function* trustFindings(_config: AuthConfig, { options, extras }: HostConfiguration): Iterable<Finding> {
  if (extras.globalGuard === false) {
    yield finding('AUTH_D14', 'globalGuard is off.', 'Leave it on, and mark what is open with @Public().');
  }
  // As written: a network with prefix 0 would not reach the resolved configuration.
  const written: unknown = options.trustedProxies;
  for (const network of Array.isArray(written) ? written : []) {
    if (typeof network !== 'string' || !isTooWide(network)) continue;
    const message = `trustedProxies has ${network.slice(0, 50)}: anybody in it can claim any client address.`;
    yield finding('AUTH_D20', message, 'List the addresses of your proxies, such as 10.0.3.0/24.');
  }
}

function isTooWide(network: string): boolean {
  const [address = '', prefix] = network.trim().split('/');
  return prefix !== undefined && Number(prefix) < (address.includes(':') ? WIDEST.ipv6 : WIDEST.ipv4);
}

function* lifetimeFindings({ session, ephemeralTokens }: AuthConfig, aal: Aal | undefined): Iterable<Finding> {
  const { idle, overall, name } = lifetimesOf(aal);
  const remedy = (option: string, max: Duration) =>
    `Set session.${option} to ${spelled(max)} or less, or set your target level with --aal.`;
  if (session.ttl > idle) {
    yield finding(
      'AUTH_D30',
      `session.ttl is ${spelled(session.ttl)}; ${name}: ${spelled(idle)}.`,
      remedy('ttl', idle),
    );
  }
  if (session.absoluteLifetime > overall) {
    const message = `session.absoluteLifetime is ${spelled(session.absoluteLifetime)}; ${name}: ${spelled(overall)}.`;
    yield finding('AUTH_D31', message, remedy('absoluteLifetime', overall));
  }
  for (const [type, max] of Object.entries(TOKEN_LIFETIMES)) {
    const { ttl } = ephemeralTokens.get(type)!;
    if (ttl <= max) continue;
    const message = `ephemeralTokens.${type}.ttl is ${spelled(ttl)}.`;
    yield finding('AUTH_D44', message, `At most ${spelled(max)} (ASVS 6.5.5, NIST 800-63B 4.2).`);
  }
}

/** NIST SP 800-63B-4, 2.2.1 and 2.2.2. */
function* factorFindings(config: AuthConfig, host: HostConfiguration): Iterable<Finding> {
  if (offeredFactors(config, host).length === 0) {
    yield finding('AUTH_D32', 'No second factor is offered.', 'Set flows.passkeys, or flows.twoFactor.totp.');
  } else if (!config.flows.passkeys) {
    yield finding('AUTH_D33', 'There are no passkeys.', 'Set flows.passkeys.');
  }
}

function* limitFindings({ rateLimits, password }: AuthConfig): Iterable<Finding> {
  for (const [event, { limit, window }] of Object.entries(rateLimits.policies)) {
    const max = MAX_ATTEMPTS[event] ?? (event.endsWith('_send') ? MAX_MAILS : Number.POSITIVE_INFINITY);
    const isShort = window < minutes(1) && limit / window > max / days(1);
    if (limit <= max && !(isShort && event in MAX_ATTEMPTS)) continue;
    const message = `rateLimits.policies.${event} allows ${limit} in ${spelled(window)}.`;
    yield finding('AUTH_D40', message, `Leave the default, or set a limit of at most ${max} and a window of minutes.`);
  }
  if (rateLimits.backoff.base === 0) {
    yield finding('AUTH_D41', 'rateLimits.backoff.base is 0.', 'Leave the default, half a second.');
  }
  if (rateLimits.onStoreError === 'allow') {
    yield finding('AUTH_D42', "rateLimits.onStoreError is 'allow'.", "Use 'deny': a login needs the database anyway.");
  }
  const isEnough = ARGON2_MINIMA.some(
    ([memory, passes]) => password.memoryCost >= memory && password.timeCost >= passes,
  );
  if (!isEnough) {
    const { memoryCost, timeCost } = password;
    const message = `password.memoryCost ${memoryCost} KiB with timeCost ${timeCost} is below every OWASP minimum.`;
    yield finding('AUTH_D43', message, 'Leave the defaults: 19456 KiB and 2.');
  }
}
