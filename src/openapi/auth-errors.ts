import { z } from 'zod';
import { errorAnswer } from '../http/answers.js';
import type { RouteFacts } from './route-facts.js';

export const LOGIN_ERRORS = [
  'AuthInvalidCredentials',
  'AuthCrossOrigin',
  'AuthBodyTooLarge',
  'AuthInvalidInput',
  'AuthRateLimited',
  'AuthLoginUnavailable',
] as const;

export const LINK_ERRORS = [
  'AuthInvalidLink',
  'AuthCrossOrigin',
  'AuthBodyTooLarge',
  'AuthInvalidInput',
  'AuthRateLimited',
  'AuthUnavailable',
] as const;

/** The errors of the routes, each with the codes that occur there. */
export function errorsOf({ takesJwts, asksSecondFactor }: RouteFacts) {
  const ofJwts = ['INVALID_TOKEN', 'TOKEN_REVOKED', 'ACCOUNT_INACTIVE', 'TOKENS_INVALIDATED'] as const;
  return {
    AuthInvalidCredentials: {
      ...errorAnswer('INVALID_CREDENTIALS'),
      description: 'Wrong password, unknown account or disabled account: all three look the same.',
    },
    AuthSecondFactorRefused: {
      ...errorAnswer('SECOND_FACTOR_REFUSED'),
      description: 'The login is over, the user does not have the method, or the code is wrong: all look the same.',
    },
    AuthInvalidLink: {
      ...errorAnswer('INVALID_LINK'),
      description:
        "The link or code is unknown, spent, expired, replaced by a newer one, or another browser's: all look the same.",
    },
    AuthUnauthenticated: {
      ...errorAnswer('UNAUTHENTICATED', ...(takesJwts ? ofJwts : [])),
      description: 'No live session came with the request.',
    },
    AuthProofRefused: {
      ...errorAnswer(
        'INVALID_CREDENTIALS',
        ...(asksSecondFactor ? (['SECOND_FACTOR_REFUSED'] as const) : []),
        'UNAUTHENTICATED',
        ...(takesJwts ? ofJwts : []),
      ),
      description: 'The password or code is wrong, or no live session came with the request.',
    },
    AuthFactorRefused: {
      ...errorAnswer('SECOND_FACTOR_REFUSED', 'UNAUTHENTICATED', ...(takesJwts ? ofJwts : [])),
      description: 'The user does not have the method, the code is wrong, or no live session came with the request.',
    },
    AuthEnrolmentRefused: {
      ...errorAnswer('SECOND_FACTOR_REFUSED', 'STEP_UP_REQUIRED', 'UNAUTHENTICATED', ...(takesJwts ? ofJwts : [])),
      description:
        'The code is wrong or the login is over, no live session came with the request, or it does not prove enough.',
    },
    AuthNotFresh: {
      ...errorAnswer('STEP_UP_REQUIRED', 'UNAUTHENTICATED', ...(takesJwts ? ofJwts : [])),
      description: 'No live session came with the request, or its user has not proved lately who they are.',
    },
    AuthFactorNotChanged: {
      ...errorAnswer('SECOND_FACTOR_REFUSED', 'STEP_UP_REQUIRED', 'UNAUTHENTICATED', ...(takesJwts ? ofJwts : [])),
      description:
        'The code is wrong, no live session came with the request, or its user has not proved lately who they are.',
    },
    AuthPasswordRefused: {
      ...errorAnswer('INVALID_CREDENTIALS', 'STEP_UP_REQUIRED', 'UNAUTHENTICATED', ...(takesJwts ? ofJwts : [])),
      description:
        'The password is wrong, no live session came with the request, or it is too old for a first password.',
    },
    AuthCrossOrigin: {
      ...errorAnswer('CROSS_ORIGIN_REQUEST'),
      description: 'A page of another origin sent the request.',
    },
    AuthPasskeyRefused: {
      ...errorAnswer('PASSKEY_REFUSED'),
      description: "The options that it answers are unknown, used, expired or another session's, or it is not valid.",
    },
    AuthPasskeyLimit: { ...errorAnswer('PASSKEY_LIMIT'), description: 'The user has as many as an account can have.' },
    AuthPasskeyNotFound: {
      ...errorAnswer('PASSKEY_NOT_FOUND'),
      description: 'The user has no passkey with this id.',
    },
    AuthLastLoginMethod: {
      ...errorAnswer('LAST_LOGIN_METHOD'),
      description: 'Without it nobody could log in to the account.',
    },
    AuthProviderNotFound: {
      ...errorAnswer('PROVIDER_NOT_FOUND', 'IDENTITY_NOT_FOUND'),
      description: 'There is no such provider, or the user has no identity there.',
    },
    AuthProviderFailed: {
      ...errorAnswer('PROVIDER_FAILED'),
      description: 'The provider did not answer, or not as it should.',
    },
    AuthLogoutTokenRefused: {
      ...errorAnswer('LOGOUT_TOKEN_REFUSED'),
      description: 'The logout token is not what it has to be, is too old, or was used.',
    },
    AuthLoginExpired: {
      ...errorAnswer('LOGIN_EXPIRED', 'INVALID_CREDENTIALS'),
      description: "The token is unknown, spent, expired or another browser's, or the account is disabled.",
    },
    AuthNotKept: {
      ...errorAnswer('LOGIN_EXPIRED', 'STEP_UP_REQUIRED', 'UNAUTHENTICATED', ...(takesJwts ? ofJwts : [])),
      description: 'Nothing is kept for this account in this browser, or the session is not fresh, or there is none.',
    },
    AuthIdentityInUse: {
      ...errorAnswer('IDENTITY_IN_USE'),
      description: 'The identity is linked with another account, or the account has another one of this provider.',
    },
    AuthIdentityNotFound: {
      ...errorAnswer('IDENTITY_NOT_FOUND'),
      description: 'The user has no identity with this id.',
    },
    AuthSessionNotFound: {
      ...errorAnswer('SESSION_NOT_FOUND'),
      description: 'The user has no session with this handle.',
    },
    AuthApiKeyForbidden: {
      ...errorAnswer('FORBIDDEN', 'CROSS_ORIGIN_REQUEST'),
      description: 'The user lacks a role for one of the scopes, or a page of another origin sent the request.',
    },
    AuthTooManyApiKeys: {
      ...errorAnswer('TOO_MANY_API_KEYS'),
      description: 'The user has as many live keys as there may be.',
    },
    AuthApiKeyNotFound: {
      ...errorAnswer('API_KEY_NOT_FOUND'),
      description: 'The user has no key with this id.',
    },
    // Of the HTTP adapter, before a handler is called.
    AuthBodyTooLarge: {
      status: 413,
      schema: z.object({ statusCode: z.literal(413), message: z.string() }),
      description: 'The body is larger than the application takes.',
    },
    AuthInvalidInput: { ...errorAnswer('INVALID_INPUT'), description: 'The body has the wrong shape, or is no JSON.' },
    AuthWeakPassword: {
      ...errorAnswer('INVALID_INPUT', 'WEAK_PASSWORD'),
      description: 'The new password is too easy to guess, or the body has the wrong shape.',
    },
    AuthRateLimited: {
      ...errorAnswer('RATE_LIMITED'),
      description: 'Too many attempts of this address or account.',
    },
    AuthUnsupported: {
      ...errorAnswer('UNSUPPORTED'),
      description: 'The user directory of the application cannot end tokens that are stored nowhere.',
    },
    AuthUnavailable: {
      ...errorAnswer('SCHEMA_MISSING', 'STORE_UNAVAILABLE'),
      description: 'The storage did not answer. This is no logout: the cookie stays.',
    },
    AuthLoginUnavailable: {
      ...errorAnswer('SETUP_INCOMPLETE', 'HASHER_OVERLOADED', 'SCHEMA_MISSING', 'STORE_UNAVAILABLE'),
      description: 'No account exists yet, too many logins at once, or the storage did not answer.',
    },
    AuthPasswordUnavailable: {
      ...errorAnswer('HASHER_OVERLOADED', 'SCHEMA_MISSING', 'STORE_UNAVAILABLE'),
      description: 'Too many passwords at once, or the storage did not answer: nothing has changed.',
    },
  };
}
export type ErrorName = keyof ReturnType<typeof errorsOf>;

/** The errors of a route that can occur with this configuration. */
export function errorsIn(
  { errors }: { readonly errors: readonly ErrorName[] },
  { cannotEndTokens }: RouteFacts,
): readonly ErrorName[] {
  return errors.filter((name) => name !== 'AuthUnsupported' || cannotEndTokens);
}
