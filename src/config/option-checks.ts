import { parseNetwork, type Network } from '../common/ip-address.js';
import { AuditSettings } from './audit-options.js';
import { CacheSettings } from './cache-options.js';
import { CleanupSettings } from './cleanup-options.js';
import { EphemeralTokenSettings, type EphemeralTokenRule } from './ephemeral-token-options.js';
import { isPositive, isRecord, type OptionChecker } from './option-checker.js';
import { RateLimitSettings, type RateLimitOptions, type RateLimitPolicy } from './rate-limit-options.js';

export const MINIMUM_SECRET_LENGTH = 32;
/** A longer one fires at once: timers count milliseconds in 31 bits, and an interval is lengthened by a tenth. */
const LONGEST_TIMER = 20 * 86_400_000;

export function checkedSecrets(check: OptionChecker, value: unknown): readonly string[] {
  const remedy = "Make one with: node -p \"require('crypto').randomBytes(48).toString('base64url')\"";
  if (!Array.isArray(value) || value.length === 0) {
    check.that(false, `secrets must be a list with at least one secret. ${remedy}`);
    return [];
  }
  Array.from<unknown>(value).forEach((secret, index) => {
    check.that(
      typeof secret === 'string' && secret.trim() !== '' && [...secret].length >= MINIMUM_SECRET_LENGTH,
      `secrets[${index}] must be a string of at least ${MINIMUM_SECRET_LENGTH} characters. ${remedy}`,
    );
  });
  check.that(new Set(value).size === value.length, 'secrets has the same secret twice: remove one of the two.');
  return value as string[];
}

export function checkedOrigins(check: OptionChecker, value: unknown = []): readonly string[] {
  if (!Array.isArray(value)) {
    check.that(false, "trustedOrigins must be a list, for example ['https://app.example.com'].");
    return [];
  }
  Array.from<unknown>(value).forEach((origin, index) => {
    check.that(
      isOrigin(origin),
      `trustedOrigins[${index}] must be an origin such as 'https://app.example.com': scheme and host, no path, no '*'.`,
    );
  });
  return value as string[];
}

/** In `trustedProxies`: not an address, but whoever connects to our own Unix socket. */
export const UNIX_SOCKET = 'unix';

export function checkedNetworks(check: OptionChecker, value: unknown = []): Network[] {
  if (!Array.isArray(value)) {
    check.that(false, "trustedProxies must be a list, for example ['10.0.0.0/8'].");
    return [];
  }
  return value.map(parseNetwork).filter((network, index): network is Network => {
    if (value[index] === UNIX_SOCKET) return false;
    const usable = typeof network !== 'string';
    if (!usable) check.that(false, `trustedProxies[${index}] ${network}.`);
    return usable;
  });
}

export function checkedCache(check: OptionChecker, written: Partial<CacheSettings> | undefined): CacheSettings {
  const cache = check.settings('cache', new CacheSettings(), written);
  check.that(typeof cache.enabled === 'boolean', 'cache.enabled must be true or false.');
  check.that(['postgres', 'local'].includes(cache.channel), "cache.channel must be 'postgres' or 'local'.");
  check.that(
    cache.url === null || isPostgresUrl(cache.url),
    "cache.url must be an address such as 'postgres://user:password@host/database', or null for the DataSource's.",
  );
  check.that(
    isPositive(cache.maxStaleness) && cache.maxStaleness >= 100 && cache.maxStaleness <= 60_000,
    'cache.maxStaleness must be from 100 ms to a minute: write it as seconds(5).',
  );
  check.duration('cache.ttl', cache.ttl);
  check.integer('cache.maxSessions', cache.maxSessions, 0, 10_000_000);
  check.integer('cache.maxRevokedTokens', cache.maxRevokedTokens, 0, 10_000_000);
  return cache;
}

export function checkedCleanup(check: OptionChecker, written: Partial<CleanupSettings> | undefined): CleanupSettings {
  const cleanup = check.settings('cleanup', new CleanupSettings(), written);
  check.that(typeof cleanup.enabled === 'boolean', 'cleanup.enabled must be true or false.');
  check.that(
    isPositive(cleanup.interval) && cleanup.interval >= 1_000 && cleanup.interval <= LONGEST_TIMER,
    'cleanup.interval must be from a second to 20 days: write it as hours(1).',
  );
  check.integer('cleanup.batch', cleanup.batch, 1, 100_000);
  check.that(
    isPositive(cleanup.longestHold) && cleanup.longestHold <= 10_000,
    'cleanup.longestHold must be from above 0 to 10 seconds: write it in milliseconds, such as 25.',
  );
  check.that(
    cleanup.leeway === 0 || (isPositive(cleanup.leeway) && cleanup.leeway <= 86_400_000),
    'cleanup.leeway must be from 0 to a day: write it as minutes(5).',
  );
  return cleanup;
}

export function checkedAudit(check: OptionChecker, written: Partial<AuditSettings> | undefined): AuditSettings {
  const audit = check.settings('audit', new AuditSettings(), written);
  check.that(typeof audit.enabled === 'boolean', 'audit.enabled must be true or false.');
  check.that(
    isPositive(audit.retention) && audit.retention >= 86_400_000,
    'audit.retention must be a day or more: write it as days(90).',
  );
  check.integer('audit.queue', audit.queue, 1, 1_000_000);
  return audit;
}

/** The rules of the types that are ours, `ttl` as the host wrote it, and those of the types that it adds. */
export function checkedTokenRules(
  check: OptionChecker,
  written: Record<string, Partial<EphemeralTokenRule> | undefined> = {},
): Map<string, EphemeralTokenRule> {
  const rules = new Map<string, EphemeralTokenRule>(Object.entries(Object.freeze(new EphemeralTokenSettings())));
  if (!check.record('ephemeralTokens', written)) return rules;
  for (const [type, rule] of Object.entries(written)) {
    if (rule === undefined) continue;
    const name = `ephemeralTokens.${type}`;
    const ours = rules.get(type);
    check.typeName(name, type);
    check.keys(`${name}.`, rule, ours ? ['ttl'] : ['ttl', 'onePerUser', 'binding']);
    if (!isRecord(rule)) continue;
    const merged: EphemeralTokenRule = { ...ours, ...rule, ttl: rule.ttl ?? ours?.ttl ?? Number.NaN };
    check.duration(`${name}.ttl`, merged.ttl);
    check.that(
      ['boolean', 'undefined'].includes(typeof merged.onePerUser),
      `${name}.onePerUser must be true or false.`,
    );
    check.that(
      merged.binding === undefined || (typeof merged.binding === 'string' && merged.binding !== ''),
      `${name}.binding must be the name of one of the token's fields.`,
    );
    rules.set(type, Object.freeze(merged));
  }
  return rules;
}

export function checkedRateLimits(
  check: OptionChecker,
  written: RateLimitOptions | undefined,
): Readonly<RateLimitSettings> {
  const defaults = new RateLimitSettings();
  const host: RateLimitOptions = isRecord(written) ? written : {};
  const { policies: hostPolicies, backoff: hostBackoff, ...rest } = host;
  if (written !== undefined) check.record('rateLimits', written);
  const settings = check.settings('rateLimits', defaults, rest);
  const policies = checkedPolicies(check, defaults.policies, hostPolicies);
  const backoff = check.settings('rateLimits.backoff', defaults.backoff, hostBackoff);
  if (backoff.base !== 0) check.duration('rateLimits.backoff.base', backoff.base);
  check.duration('rateLimits.backoff.longest', backoff.longest);
  check.duration('rateLimits.backoff.window', backoff.window);
  check.that(
    !(backoff.longest > backoff.window),
    'rateLimits.backoff.window is shorter than backoff.longest: a failure would be forgotten before its wait is over.',
  );
  check.that(['deny', 'allow'].includes(settings.onStoreError), "rateLimits.onStoreError must be 'deny' or 'allow'.");
  check.integer('rateLimits.rememberedBlocks', settings.rememberedBlocks, 0, 1_000_000);
  return Object.freeze(Object.assign(settings, { policies, backoff: Object.freeze(backoff) }));
}

function checkedPolicies(
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

function isPostgresUrl(value: unknown): boolean {
  if (typeof value !== 'string' || !/^postgres(ql)?:\/\//.test(value) || !URL.canParse(value)) return false;
  const { hostname, username, password, pathname } = new URL(value);
  const isEscaped = [username, password, pathname].every((part) => !/%(?![0-9a-f]{2})/i.test(part));
  return hostname !== '' && isEscaped;
}

/** `https://app.example.com` as browsers write it: scheme, host and a port that is not the scheme's own. */
export function isOrigin(value: unknown): boolean {
  if (typeof value !== 'string' || !URL.canParse(value) || value.includes('*')) return false;
  const url = new URL(value);
  return url.origin === value && (url.protocol === 'https:' || url.protocol === 'http:');
}
