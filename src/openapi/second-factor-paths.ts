import type { Description } from './description.js';

export const secondFactorPaths = {
  sendSecondFactor: {
    id: 'authSendSecondFactor',
    summary: 'Ask for what a second step needs',
    description: 'Such as a code by mail. The first step says which methods there are.',
    session: 'none',
    cookie: 'none',
    takes: 'AuthSecondFactorRequest',
    status: 202,
    done: 'If there was something to send, it is on its way.',
    answer: 'AuthDone',
    limited: true,
    errors: [
      'AuthSecondFactorRefused',
      'AuthCrossOrigin',
      'AuthBodyTooLarge',
      'AuthInvalidInput',
      'AuthRateLimited',
      'AuthUnavailable',
    ],
  },
  verifySecondFactor: {
    id: 'authVerifySecondFactor',
    summary: 'Complete a login by a second factor',
    description:
      'Opens the session, and hands it out as the first step asked for: in the cookie, or as a token. A wrong code leaves the login as it is.',
    session: 'none',
    cookie: 'renewed',
    takes: 'AuthSecondFactor',
    done: 'Logged in.',
    answer: 'AuthSecondFactorDone',
    errors: [
      'AuthSecondFactorRefused',
      'AuthCrossOrigin',
      'AuthBodyTooLarge',
      'AuthInvalidInput',
      'AuthRateLimited',
      'AuthUnavailable',
    ],
  },
} satisfies Record<string, Description>;
