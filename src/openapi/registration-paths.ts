import type { Description } from './description.js';

export const registrationPaths = {
  register: {
    id: 'authRegister',
    summary: 'Ask for an account',
    description:
      'Mails a link and a code to the address, or tells its owner that there is an account; the answer says neither. There is no account before the end.',
    session: 'none',
    cookie: 'flow',
    limited: true,
    takes: 'AuthRegistration',
    status: 202,
    done: 'A mail is on its way.',
    answer: 'AuthDone',
    errors: ['AuthCrossOrigin', 'AuthBodyTooLarge', 'AuthWeakPassword', 'AuthRateLimited', 'AuthPasswordUnavailable'],
  },
  resendRegistration: {
    id: 'authRegisterResend',
    summary: 'Ask for another mail',
    description: 'As asking for an account, with the password that was chosen in this browser. Earlier links are void.',
    session: 'none',
    cookie: 'flow',
    limited: true,
    takes: 'AuthRegistrationResend',
    status: 202,
    done: 'A mail is on its way.',
    answer: 'AuthDone',
    errors: ['AuthCrossOrigin', 'AuthBodyTooLarge', 'AuthInvalidInput', 'AuthRateLimited', 'AuthUnavailable'],
  },
  confirmRegistration: {
    id: 'authRegisterConfirm',
    summary: 'Open the account',
    description:
      'Proves the mailbox by the mailed link, or by the code in the browser that asked, opens the account and logs it in. From another browser, the link needs the password too. An account that began by a login at a provider needs none in the browser that asked.',
    session: 'none',
    cookie: 'set',
    takes: 'AuthRegistrationConfirmation',
    done: 'There is an account, and it is logged in.',
    answer: 'AuthLogin',
    errors: [
      'AuthInvalidLink',
      'AuthInvalidCredentials',
      'AuthCrossOrigin',
      'AuthBodyTooLarge',
      'AuthWeakPassword',
      'AuthRateLimited',
      'AuthPasswordUnavailable',
    ],
  },
} satisfies Record<string, Description>;
