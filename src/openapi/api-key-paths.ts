import type { Description } from './description.js';

export const apiKeyPaths = {
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
      'A key for a program that acts for the user, within scopes and until a date. It is shown only this once. The session must have proved as much as its account can. An API key makes no keys.',
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
} satisfies Record<string, Description>;
