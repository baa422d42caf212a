import { describe, expect, it } from '@jest/globals';
import { dueFactors } from './due-factors.js';

describe('what is due', () => {
  it.each<[proofs: string[], enrolled: string[], due: string[] | 'nothing']>([
    [['password'], [], 'nothing'],
    [['password'], ['totp'], ['totp']],
    [['password'], ['totp', 'email-code'], ['totp', 'email-code']],
    [['password', 'totp'], ['totp'], 'nothing'],
    [['password', 'email-code'], ['totp', 'email-code'], 'nothing'],
    [['magic-link'], ['totp'], ['totp']],
    [['oidc'], ['totp'], ['totp']],
    [['saml'], ['pin'], ['pin']],
    [['saml', 'pin'], ['pin'], 'nothing'],
    // Two proofs, none of which is a second factor of this user.
    [['password', 'saml'], ['totp'], ['totp']],
    // User verification makes two factors of a passkey; presence alone does not.
    [['passkey'], ['totp', 'passkey'], 'nothing'],
    [['passkey-presence'], ['totp', 'passkey-presence'], ['totp']],
    [['email-code'], ['email-code'], 'nothing'],
    // How old a proof is makes no second one of it.
    [['email-code', 'stale'], ['totp', 'email-code'], ['totp']],
  ])('F11: after %j, with %j: %j', (proofs, enrolled, due) => {
    expect(dueFactors(proofs, enrolled)).toEqual(due);
  });
});
