import { ApiKeyAnswer, ApiKeyListAnswer, errorAnswer, NewApiKeyAnswer } from '../http/answers.js';
import { ApiKeyBody } from '../http/flows/api-key.controller.js';

// The part of `auth-paths.ts` that is about `flows.apiKeys`.

export const API_KEY_DESCRIPTIONS = {
  listApiKeys: {
    id: 'authApiKeys',
    summary: "The user's API keys",
    description: 'The live keys of the user, the latest first, without the keys themselves.',
    session: 'needed',
    cookie: 'renewed',
    done: 'The keys.',
    answer: 'AuthApiKeys',
    errors: ['AuthUnauthenticated', 'AuthUnavailable'],
  },
  createApiKey: {
    id: 'authCreateApiKey',
    summary: 'Make an API key',
    description:
      'A key for a program that acts for the user, within scopes and until a date. It is shown only this once. An API key makes no keys.',
    session: 'needed',
    cookie: 'renewed',
    takes: 'AuthApiKeyRequest',
    status: 201,
    done: 'The key.',
    answer: 'AuthNewApiKey',
    errors: [
      'AuthNotFresh',
      'AuthApiKeyForbidden',
      'AuthTooManyApiKeys',
      'AuthBodyTooLarge',
      'AuthInvalidInput',
      'AuthUnavailable',
    ],
  },
  revokeApiKey: {
    id: 'authRevokeApiKey',
    summary: 'Revoke an API key',
    description: "Ends one of the user's own keys. Repeating it is no error.",
    session: 'needed',
    cookie: 'renewed',
    done: 'The key has been revoked.',
    answer: 'AuthDone',
    errors: ['AuthUnauthenticated', 'AuthCrossOrigin', 'AuthApiKeyNotFound', 'AuthUnavailable'],
  },
} as const;

export const API_KEY_BODIES = { AuthApiKeyRequest: () => ApiKeyBody };

export const API_KEY_SCHEMAS = {
  AuthApiKey: ApiKeyAnswer,
  AuthApiKeys: ApiKeyListAnswer,
  AuthNewApiKey: NewApiKeyAnswer,
};

export const API_KEY_ERRORS = {
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
};

/** For handlers of the application with `@AllowApiKey`. */
export const API_KEY_SCHEME = {
  authApiKey: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'lk_',
    description: 'An API key of a user, for handlers that take keys with one of its scopes.',
  },
};
