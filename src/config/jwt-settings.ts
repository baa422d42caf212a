import { hours, type Duration } from '../common/duration.js';
import type { OptionChecker } from './option-checker.js';

/** The signed tokens of `JwtCodecService`. */
export class JwtSettings {
  /** The algorithm that signs, and the only one accepted. Default `HS256`. Changing it ends every token in use. */
  algorithm: 'HS256' | 'HS384' | 'HS512' = 'HS256';

  /** Lifetime of a token for which `encode` is given none. Default 2 hours. */
  ttl: Duration = hours(2);

  /**
   * Written into every token as `aud`, and required of every token. With `null` (default), a token that has one is
   * refused.
   */
  audience: string | null = null;

  /** Whether `Authorization: Bearer` with a JWT of purpose `session` authenticates a request. Default false. */
  sessions: boolean = false;

  /**
   * Whether each session JWT is recorded when it is handed out, so that the user's list of sessions shows it and it can be
   * ended by its handle. A request costs no query more. A user may have `session.maxPerUser` of them; another login
   * revokes the one issued first. Needs `sessions`. Default false.
   */
  registry: boolean = false;
}

export function checkJwt(check: OptionChecker, written: Partial<JwtSettings> | undefined): JwtSettings {
  const jwt = check.settings('jwt', new JwtSettings(), written);
  check.oneOf('jwt.algorithm', jwt.algorithm, ['HS256', 'HS384', 'HS512']);
  check.duration('jwt.ttl', jwt.ttl);
  check.that(
    jwt.audience === null || (typeof jwt.audience === 'string' && jwt.audience !== ''),
    "jwt.audience must be a text such as 'my-app', or null for none.",
  );
  check.flag('jwt.sessions', jwt.sessions);
  check.flag('jwt.registry', jwt.registry);
  check.that(!jwt.registry || jwt.sessions, 'jwt.registry lists session JWTs, which need jwt.sessions: true.');
  return jwt;
}
