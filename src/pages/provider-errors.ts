import type { AuthErrorCode } from '../auth.errors.js';
import type { Problem } from './page-problem.js';
import type { PageTexts } from './page-texts.js';

/** What the callback of a provider may say in `?error=`. */
const TEXTS: Readonly<Partial<Record<AuthErrorCode, keyof PageTexts>>> = {
  LOGIN_EXPIRED: 'errorLoginExpired',
  PROVIDER_REFUSED: 'errorProviderRefused',
  PROVIDER_FAILED: 'errorProviderFailed',
  ACCOUNT_EXISTS: 'errorAccountExists',
  NO_ACCOUNT: 'errorNoAccount',
  EMAIL_NOT_VERIFIED: 'errorEmailNotVerified',
  IDENTITY_IN_USE: 'errorIdentityInUse',
  INVALID_CREDENTIALS: 'errorProviderRefused',
  STEP_UP_REQUIRED: 'signInAgain',
  UNAUTHENTICATED: 'signInAgain',
  RATE_LIMITED: 'errorTooMany',
};

/** A text of ours for a code that is known: anybody can write an address, and another one says nothing. */
export function providerProblem(code: unknown, texts: Readonly<PageTexts>): Problem | undefined {
  const name = typeof code === 'string' && Object.hasOwn(TEXTS, code) ? TEXTS[code as AuthErrorCode] : undefined;
  return name && { summary: texts[name], fields: {} };
}
