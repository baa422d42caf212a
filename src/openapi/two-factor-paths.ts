import type { Description } from './description.js';

const REFUSALS = [
  'AuthCrossOrigin',
  'AuthBodyTooLarge',
  'AuthInvalidInput',
  'AuthRateLimited',
  'AuthUnavailable',
] as const;

const REFUSALS_OF_HASHES = [
  'AuthCrossOrigin',
  'AuthBodyTooLarge',
  'AuthInvalidInput',
  'AuthRateLimited',
  'AuthPasswordUnavailable',
] as const;

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
  setUpTotp: {
    id: 'authSetUpTotp',
    summary: 'A secret for an authenticator app',
    description:
      'Shown once. Nothing has changed until a code has proved it, within ten minutes. Takes a fresh session, of two factors where the user has one, or the token of a login that must enrol a factor.',
    session: 'optional',
    cookie: 'renewed',
    takes: 'AuthTotpSetup',
    done: 'The secret.',
    answer: 'AuthTotpSecret',
    errors: ['AuthEnrolmentRefused', 'AuthCrossOrigin', 'AuthBodyTooLarge', 'AuthInvalidInput', 'AuthUnavailable'],
  },
  enableTotp: {
    id: 'authEnableTotp',
    summary: 'Prove the secret of an authenticator app',
    description:
      'Puts it in place of the one before, ends all other sessions, and hands out a session of two factors and new backup codes. With the token of a login that must enrol a factor it completes that login.',
    session: 'optional',
    cookie: 'renewed',
    takes: 'AuthTotpProof',
    done: 'The user has the factor.',
    answer: 'AuthChangedFactors',
    errors: ['AuthEnrolmentRefused', ...REFUSALS_OF_HASHES],
  },
  disableTotp: {
    id: 'authDisableTotp',
    summary: 'Remove the authenticator app',
    description: 'Ends all other sessions. Takes a fresh session of two factors.',
    session: 'needed',
    cookie: 'set',
    takes: 'AuthNoFields',
    done: 'The app has been removed.',
    answer: 'AuthChangedFactors',
    errors: ['AuthNotFresh', 'AuthCrossOrigin', 'AuthBodyTooLarge', 'AuthInvalidInput', 'AuthUnavailable'],
  },
  regenerateBackupCodes: {
    id: 'authRegenerateBackupCodes',
    summary: 'New backup codes',
    description: 'Those before are void, and all other sessions end. Takes a fresh session of two factors.',
    session: 'needed',
    cookie: 'set',
    takes: 'AuthNoFields',
    done: 'The new codes, shown only this once.',
    answer: 'AuthChangedFactors',
    errors: ['AuthNotFresh', 'AuthCrossOrigin', 'AuthBodyTooLarge', 'AuthInvalidInput', 'AuthPasswordUnavailable'],
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
    errors: ['AuthFactorRefused', ...REFUSALS],
  },
} satisfies Record<string, Description>;
