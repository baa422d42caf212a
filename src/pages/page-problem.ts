import { isAuthError, type AuthError, type AuthErrorCode } from '../auth.errors.js';
import type { PageTexts } from './page-texts.js';
import { withValues } from './with-values.js';

type TextName = Exclude<keyof PageTexts, 'lang'>;

/** What is wrong with a form: what stands above it, and beside its fields by their names. */
export interface Problem {
  readonly summary: string;
  readonly fields: Readonly<Record<string, string>>;
}

const SUMMARIES: Readonly<Partial<Record<AuthErrorCode, TextName>>> = {
  INVALID_CREDENTIALS: 'errorCredentials',
  SECOND_FACTOR_REFUSED: 'errorCode',
  INVALID_LINK: 'errorLink',
  CROSS_ORIGIN_REQUEST: 'errorOrigin',
  LAST_LOGIN_METHOD: 'errorLastMethod',
  TOO_MANY_API_KEYS: 'errorLimit',
  PASSKEY_LIMIT: 'errorLimit',
  PASSKEY_REFUSED: 'passkeyFailed',
  PASSKEY_NOT_FOUND: 'errorNotFound',
  PROVIDER_NOT_FOUND: 'errorNotFound',
  IDENTITY_NOT_FOUND: 'errorNotFound',
  IDENTITY_IN_USE: 'errorIdentityInUse',
  LOGIN_EXPIRED: 'errorLoginExpired',
  API_KEY_NOT_FOUND: 'errorNotFound',
  SESSION_NOT_FOUND: 'errorNotFound',
  USER_NOT_FOUND: 'adminNoUsers',
  FORBIDDEN: 'errorForbidden',
  INVALID_INPUT: 'errorField',
};

const RULES: Readonly<Record<string, TextName>> = {
  too_short: 'errorTooShort',
  too_long: 'errorTooLong',
  common: 'errorCommon',
  breached: 'errorBreached',
  contains_context: 'errorContext',
};

/** What a person is told. The names in an error of input are those of our bodies; what was sent is in none of them. */
export function problemOf(error: AuthError, texts: Readonly<PageTexts>): Problem {
  if (error.getStatus() >= 500) return { summary: texts.errorUnavailable, fields: {} };
  if (isAuthError(error, 'RATE_LIMITED')) {
    const minutes = String(Math.ceil(error.facts.retryAfter / 60));
    return { summary: withValues(texts.errorRateLimited, { minutes }), fields: {} };
  }
  if (isAuthError(error, 'WEAK_PASSWORD')) {
    const { fields, rules } = error.facts;
    const known = rules.map((rule) => (Object.hasOwn(RULES, rule) ? texts[RULES[rule]!] : undefined));
    const own = (expected: string) => (known.some((text) => text === undefined) ? expected : undefined);
    return {
      summary: texts.errorTitle,
      fields: mapped(fields, (expected) => own(expected) ?? known.join(' ')),
    };
  }
  if (isAuthError(error, 'INVALID_INPUT')) {
    const texted = mapped(error.facts.fields, (_, name) => (name === 'email' ? texts.errorEmail : texts.errorMissing));
    return { summary: texts.errorTitle, fields: texted };
  }
  const name = SUMMARIES[error.code];
  return { summary: name === undefined ? texts.errorTitle : texts[name], fields: {} };
}

function mapped(fields: Readonly<Record<string, string>>, text: (expected: string, name: string) => string) {
  return Object.fromEntries(Object.entries(fields).map(([name, expected]) => [name, text(expected, name)]));
}
