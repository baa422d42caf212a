import { describe, expect, it } from '@jest/globals';
import { proofClaims, proofOf } from './jwt-assurance.js';

const T0 = 1_700_000_000_000;
const roundTrip = (amr: string[]) =>
  proofOf({ iat: T0, claims: proofClaims({ aal: 1, amr, authenticatedAt: T0 }, T0) }).amr;

describe('the proofs of a session JWT', () => {
  it.each([
    [['password'], ['pwd']],
    [
      ['password', 'totp', 'email-code'],
      ['pwd', 'otp', 'mca'],
    ],
    [['passkey'], ['pop']],
    [['saml'], ['saml']],
  ])('%j are %j in the names of RFC 8176, and come back', (amr, claims) => {
    expect(proofClaims({ aal: 1, amr, authenticatedAt: T0 }, T0)['amr']).toEqual(claims);
    expect(roundTrip(amr)).toEqual(amr);
  });

  it.each(['otp', 'pop', 'mca', 'pwd', 'own:otp', 'own:'])(
    "F54: a method of the application's own that is called %s does not come back as one of ours",
    (method) => {
      expect(roundTrip([method])).toEqual([method]);
    },
  );
});
