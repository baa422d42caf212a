import type { Description } from './description.js';

export const stepUpPaths = {
  stepUpState: {
    id: 'authStepUpState',
    summary: 'What the session has proved',
    description: 'How and when the user last proved who they are, and the methods by which they can prove more.',
    session: 'needed',
    cookie: 'renewed',
    done: 'The proofs of the session.',
    answer: 'AuthStepUpState',
    errors: ['AuthUnauthenticated', 'AuthUnavailable'],
  },
  stepUp: {
    id: 'authStepUp',
    summary: 'Confirm who is asking',
    description:
      'Proves again who the user is. The session counts as fresh and gets a new token; the old one is refused at once.',
    session: 'needed',
    cookie: 'set',
    takes: 'AuthStepUpProof',
    done: 'The session is fresh.',
    answer: 'AuthStepUp',
    errors: [
      'AuthProofRefused',
      'AuthCrossOrigin',
      'AuthBodyTooLarge',
      'AuthInvalidInput',
      'AuthRateLimited',
      'AuthLoginUnavailable',
    ],
  },
} satisfies Record<string, Description>;
