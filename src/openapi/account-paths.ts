import { LINK_ERRORS } from './auth-errors.js';
import type { Description } from './description.js';

export const accountPaths = {
  changeEmail: {
    id: 'authChangeEmail',
    summary: 'Ask for another e-mail address',
    description: 'Mails a link to the new address if it is free. The answer is the same either way.',
    session: 'needed',
    cookie: 'renewed',
    limited: true,
    takes: 'AuthEmailChange',
    status: 202,
    done: 'If the address is free, a mail is on its way to it.',
    answer: 'AuthDone',
    errors: [
      'AuthNotFresh',
      'AuthCrossOrigin',
      'AuthBodyTooLarge',
      'AuthInvalidInput',
      'AuthRateLimited',
      'AuthUnavailable',
    ],
  },
  confirmEmailChange: {
    id: 'authConfirmEmailChange',
    summary: 'Confirm a new e-mail address',
    description: 'The link that was mailed to the new address. It opens no session.',
    session: 'none',
    cookie: 'none',
    limited: true,
    takes: 'AuthLink',
    done: 'The address has been changed.',
    answer: 'AuthDone',
    errors: LINK_ERRORS,
  },
  revertEmailChange: {
    id: 'authRevertEmailChange',
    summary: 'Take a change of e-mail address back',
    description:
      'The link that was mailed to the old address. It ends everything that is logged in, and mails a link for a new password.',
    session: 'none',
    cookie: 'none',
    limited: true,
    takes: 'AuthLink',
    done: 'The account has its old address.',
    answer: 'AuthDone',
    errors: LINK_ERRORS.map((name) => (name === 'AuthUnavailable' ? 'AuthPasswordUnavailable' : name)),
  },
  deleteAccount: {
    id: 'authDeleteAccount',
    summary: 'Delete the account',
    description:
      'Deletes the account of the user, with all that is logged in to it, and clears the cookie. It needs a fresh session that has proved as much as the account can.',
    session: 'needed',
    cookie: 'set',
    clears: true,
    done: 'The account has been deleted.',
    answer: 'AuthDone',
    errors: ['AuthNotFresh', 'AuthCrossOrigin', 'AuthUnavailable'],
  },
} satisfies Record<string, Description>;
