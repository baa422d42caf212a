import type { Description } from './description.js';

export const twoFactorPaths = {
  twoFactorState: {
    id: 'authTwoFactorState',
    summary: 'The second factors of the user',
    description: 'Which ones the user has. No secret is among it.',
    session: 'needed',
    cookie: 'renewed',
    done: 'The second factors.',
    answer: 'AuthTwoFactor',
    errors: ['AuthUnauthenticated', 'AuthUnavailable'],
  },
  sendStepUp: {
    id: 'authSendStepUp',
    summary: 'Ask for what a step-up needs',
    description: 'Such as a code by mail.',
    session: 'needed',
    cookie: 'renewed',
    takes: 'AuthStepUpRequest',
    status: 202,
    done: 'If there was something to send, it is on its way.',
    answer: 'AuthDone',
    limited: true,
    errors: [
      'AuthFactorRefused',
      'AuthCrossOrigin',
      'AuthBodyTooLarge',
      'AuthInvalidInput',
      'AuthRateLimited',
      'AuthUnavailable',
    ],
  },
} satisfies Record<string, Description>;
