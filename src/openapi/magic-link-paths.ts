import type { Description } from './description.js';

export const magicLinkPaths = {
  requestMagicLink: {
    id: 'authMagicLink',
    summary: 'Ask for a link that logs in',
    description:
      'Mails a link and a code if there is such an account; the answer does not say so. They work in this browser only, and void the earlier ones.',
    session: 'none',
    cookie: 'flow',
    limited: true,
    takes: 'AuthMagicLinkRequest',
    status: 202,
    done: 'If there is such an account, a mail is on its way.',
    answer: 'AuthDone',
    errors: ['AuthCrossOrigin', 'AuthBodyTooLarge', 'AuthInvalidInput', 'AuthRateLimited', 'AuthUnavailable'],
  },
  confirmMagicLink: {
    id: 'authMagicLinkConfirm',
    summary: 'Log in by the mailed link or code',
    description:
      'In the browser that asked. What is refused is not spent; a user who has a second factor is asked for it.',
    session: 'none',
    cookie: 'set',
    takes: 'AuthMagicLinkConfirmation',
    done: 'The user is logged in.',
    answer: 'AuthMagicLinkLogin',
    errors: [
      'AuthInvalidLink',
      'AuthCrossOrigin',
      'AuthBodyTooLarge',
      'AuthInvalidCredentials',
      'AuthInvalidInput',
      'AuthRateLimited',
      'AuthUnavailable',
    ],
  },
} satisfies Record<string, Description>;
