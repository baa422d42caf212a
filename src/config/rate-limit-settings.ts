import { hours, minutes, seconds, type Duration } from '../common/duration.js';
import { isRecord, type OptionChecker } from './option-checker.js';

/**
 * The events that are limited. Add your own by module augmentation, and give each a policy in `rateLimits.policies`.
 *
 * @example
 * ```ts
 * declare module 'nestjs-latchkey' {
 *   interface RateLimitEvents {
 *     share_note: true;
 *   }
 * }
 * AuthModule.forRoot({ secrets, rateLimits: { policies: { share_note: { limit: 20, window: hours(1) } } } });
 * ```
 */
export interface RateLimitEvents {
  /** Failed logins of one account, except those from devices that have logged in to it before. */
  login_attempt: true;
  /** Failed logins from one device that has logged in to the account before. */
  login_known_device: true;
  /** Failed logins from one address. */
  login_ip: true;
  /** Failed logins from one IPv6 /48, in addition to those of each /64 in it. */
  login_network: true;
  /** Wrong second factors of one account, across challenges and factors. */
  '2fa_attempt': true;
  email_send: true;
  /** Requests for an account from one address. */
  register_ip: true;
  /** Wrong codes of one registration, and wrong passwords that come with its link from another browser. */
  register_confirm: true;
  /** Wrong codes of one mailed login. */
  magic_link_confirm: true;
  /** Requests from one address, of all flows that mail something. */
  mail_ip: true;
  /** What `mail_ip`, `register_ip` and `password_reset_ip` count from one IPv6 /48, in addition to each /64 in it. */
  mail_network: true;
  /**
   * Links that take something back ("this was not me"), from one address. They share no limit with what anybody may ask for
   * there: whoever uses that up does not keep an owner out.
   */
  revert_ip: true;
  password_reset_send: true;
  password_reset_ip: true;
  password_change: true;
  /** Requests about logins by passkey from one address. */
  passkey_ip: true;
  /** Logins at a provider that were begun from one address. */
  oidc_start_ip: true;
  /** Answers of providers with which browsers came back from one address: each may cost a request to the provider. */
  oidc_callback_ip: true;
  /** Logouts at a provider from one address: those of browsers, and logout tokens that were refused. */
  oidc_logout_ip: true;
  /** API keys from one address that were refused. One that is accepted is never limited. */
  api_key_ip: true;
}

export type RateLimitEvent = Extract<keyof RateLimitEvents, string>;

/**
 * What is counted for the IPv6 /48 of an address beside the address itself: a provider gives a home or a server a /48 or
 * a /56, which would be 65,536 or 256 buckets, each with the whole limit.
 */
export const NETWORK_EVENTS: Readonly<Partial<Record<string, RateLimitEvent>>> = {
  login_ip: 'login_network',
  mail_ip: 'mail_network',
  register_ip: 'mail_network',
  password_reset_ip: 'mail_network',
};

export interface RateLimitPolicy {
  /** The most events in any `window`; one more is refused. */
  limit: number;
  /**
   * The length of the sliding window: an event counts while it is younger than this, and no longer at this exact age.
   */
  window: Duration;
}

/** Waiting time after failed logins, per address: `min(base * 2^(n-1), maxDelay)` after the n-th failure in a row. */
export class BackoffSettings {
  /** After the first failure. Default half a second; 0 turns the back-off off. */
  base: Duration = seconds(0.5);
  /** The longest delay. Default 5 seconds. */
  maxDelay: Duration = seconds(5);
  /** A failure of this age is forgotten. Default 15 minutes, as long as the failures of `login_ip` count. */
  window: Duration = minutes(15);
}

export class RateLimitSettings {
  /** Change `limit` and `window` of the built-in events, and add policies for your own. */
  policies: Record<string, RateLimitPolicy> = {
    login_attempt: { limit: 10, window: minutes(15) },
    login_known_device: { limit: 10, window: minutes(15) },
    login_ip: { limit: 20, window: minutes(15) },
    login_network: { limit: 200, window: minutes(15) },
    '2fa_attempt': { limit: 5, window: minutes(15) },
    email_send: { limit: 3, window: minutes(10) },
    register_ip: { limit: 10, window: hours(1) },
    register_confirm: { limit: 5, window: minutes(15) },
    magic_link_confirm: { limit: 5, window: minutes(15) },
    mail_ip: { limit: 20, window: minutes(15) },
    mail_network: { limit: 200, window: minutes(15) },
    revert_ip: { limit: 20, window: minutes(15) },
    password_reset_send: { limit: 3, window: minutes(15) },
    password_reset_ip: { limit: 10, window: minutes(15) },
    password_change: { limit: 5, window: minutes(15) },
    passkey_ip: { limit: 30, window: minutes(15) },
    oidc_start_ip: { limit: 30, window: minutes(5) },
    oidc_callback_ip: { limit: 60, window: minutes(5) },
    oidc_logout_ip: { limit: 300, window: minutes(5) },
    api_key_ip: { limit: 30, window: minutes(15) },
  };
  backoff: BackoffSettings = new BackoffSettings();
  /**
   * What happens while the database is unavailable: `deny` (default) answers 503, `allow` lets every request through,
   * unlimited, until it is back. Both are logged.
   */
  onStoreError: 'deny' | 'allow' = 'deny';
  /**
   * How many blocked subjects this process remembers, to refuse them without asking the database. Default 10,000, about
   * 5 MB; 0 turns it off. The database is asked again after a second, see `RateLimitService`.
   */
  rememberedBlocks: number = 10_000;
  /**
   * Whether a recorded event waits until PostgreSQL has written it to disk. Default false: a crash of the database
   * forgets the events of its last moments (three times `wal_writer_delay`, 0.6 seconds by default), and their subjects
   * get as many attempts more. What other processes see, and so the limit, is exact either way. Redis has `appendfsync`
   * instead.
   */
  durable: boolean = false;
}

/** The options `rateLimits`; every part is optional. */
export interface RateLimitOptions {
  policies?: { [Event in RateLimitEvent]?: Partial<RateLimitPolicy> };
  backoff?: Partial<BackoffSettings>;
  onStoreError?: 'deny' | 'allow';
  rememberedBlocks?: number;
  durable?: boolean;
}

export function checkRateLimits(
  check: OptionChecker,
  written: RateLimitOptions | undefined,
): Readonly<RateLimitSettings> {
  const defaults = new RateLimitSettings();
  const host: RateLimitOptions = isRecord(written) ? written : {};
  const { policies: hostPolicies, backoff: hostBackoff, ...rest } = host;
  if (written !== undefined) check.record('rateLimits', written);
  const settings = check.settings('rateLimits', defaults, rest);
  const policies = checkPolicies(check, defaults.policies, hostPolicies);
  const backoff = check.settings('rateLimits.backoff', defaults.backoff, hostBackoff);
  if (backoff.base !== 0) check.duration('rateLimits.backoff.base', backoff.base);
  check.duration('rateLimits.backoff.maxDelay', backoff.maxDelay);
  check.duration('rateLimits.backoff.window', backoff.window);
  check.that(
    !(backoff.maxDelay > backoff.window),
    'rateLimits.backoff.window is shorter than backoff.maxDelay: a failure would be forgotten before its wait is over.',
  );
  check.oneOf('rateLimits.onStoreError', settings.onStoreError, ['deny', 'allow']);
  check.integer('rateLimits.rememberedBlocks', settings.rememberedBlocks, 0, 1_000_000);
  check.flag('rateLimits.durable', settings.durable);
  return Object.freeze(Object.assign(settings, { policies, backoff: Object.freeze(backoff) }));
}

function checkPolicies(
  check: OptionChecker,
  defaults: Readonly<Record<string, RateLimitPolicy>>,
  written: Record<string, Partial<RateLimitPolicy> | undefined> = {},
): Readonly<Record<string, RateLimitPolicy>> {
  const policies: Record<string, RateLimitPolicy> = Object.assign(Object.create(null), defaults);
  if (!check.record('rateLimits.policies', written)) return policies;
  for (const [event, policy] of Object.entries(written)) {
    if (policy === undefined) continue;
    const name = `rateLimits.policies.${event}`;
    const ours = policies[event];
    check.typeName(name, event);
    check.that(event !== 'login_backoff', `${name} is reserved: the back-off stores its failures under that name.`);
    check.keys(`${name}.`, policy, ['limit', 'window']);
    if (!isRecord(policy)) continue;
    const { limit = ours?.limit, window = ours?.window } = policy;
    check.integer(`${name}.limit`, limit ?? Number.NaN, 1, 100_000);
    check.duration(`${name}.window`, window ?? Number.NaN);
    policies[event] = Object.freeze({ limit: limit!, window: window! });
  }
  return Object.freeze(policies);
}
