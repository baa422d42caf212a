import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { PasskeyRefusal } from './passkey-refusal.js';
import { challengeOf, WebAuthn } from './webauthn.js';

/**
 * A new passkey with an `android-key` attestation that anybody can make: its root is the sender's own, and its leaf names a
 * revocation list at `http://169.254.169.254/latest`. Made with @peculiar/x509; the certificates end in 2126.
 */
const ATTESTED = [
  'o2NmbXRrYW5kcm9pZC1rZXlnYXR0U3RtdKNjYWxnJmNzaWdYQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
  'AAAAAAAAAAAAAAAAAAAAAAAABjeDVjglkBjzCCAYswggExoAMCAQICAQIwCgYIKoZIzj0EAwIwEjEQMA4GA1UEAxMHTWFsbG9yeTAgFw0yMDAx',
  'MDEwMDAwMDBaGA8yMTI2MDEwMTAwMDAwMFowDzENMAsGA1UEAxMEbGVhZjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNzTpFRisjMZzuyMVA',
  'vTLaWxE8e0fj9LbbGzCgkZeqSbCR1EBexhg4BjeJhwRbFHZQatgwXuZJyXw-MGan--hUSjeTB3MC4GA1UdHwQnMCUwI6AhoB-GHWh0dHA6Ly8x',
  'NjkuMjU0LjE2OS4yNTQvbGF0ZXN0MEUGCisGAQQB1nkCAREENzA1AgEDCgEBAgEECgEBBCCq4K8KXXKro1djLaBlt5ypww0JXaFfQ2JDSSh0Nd',
  'bdDQQBADAAMAAwCgYIKoZIzj0EAwIDSAAwRQIgWJLJiBChelI7jdmVVor77RryMZfMdcOddVRT3_Im-8wCIQCUmW-e7VxSInrzmU_iDOSjB05m',
  'PAn4exNYt2IJwkAVhFkBGTCCARUwgb2gAwIBAgIBATAKBggqhkjOPQQDAjASMRAwDgYDVQQDEwdNYWxsb3J5MCAXDTIwMDEwMTAwMDAwMFoYDz',
  'IxMjYwMTAxMDAwMDAwWjASMRAwDgYDVQQDEwdNYWxsb3J5MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE4jMptrTHspimc8FhKQBAxyyKquvI',
  'hwPoBe-qgBXaPYAG3xX48tK4gWt7b3tW7_kXr8Xu4k097NSTzE-fL33x16MCMAAwCgYIKoZIzj0EAwIDRwAwRAIgHVajaTXznRe1bIHcyw9Liz',
  '2KUIWlb6Aac0AQzF7oNWoCID5lGqQ9ZVFm6vD0GXqZ-zcct58QTReJd_cVMfU7QxtLaGF1dGhEYXRhWKQoBZgpsQUfBO8DEZBnwM4J4FJ3YSiQ',
  '-OCHTx2OzhrgNEUAAAAAAAAAAAAAAAAAAAAAAAAAAAAgCdlWtMrmB0pxaq1GzEfcbQ7SHzGSjeIOP6m5VlNLvC-lAQIDJiABIVgg3NOkVGKyMx',
  'nO7IxUC9MtpbETx7R-P0ttsbMKCRl6pJsiWCAJHUQF7GGDgGN4mHBFsUdlBq2DBe5knJfD4wZqf76FRA',
].join('');

describe('WebAuthn', () => {
  afterEach(() => void jest.restoreAllMocks());

  it('F71: asks no address that an attestation names: one that was not asked for is refused', async () => {
    const fetched = jest.spyOn(globalThis, 'fetch').mockRejectedValue(new Error('away'));
    const challenge = Buffer.alloc(32, 7).toString('base64url');
    const [id, origin] = ['CdlWtMrmB0pxaq1GzEfcbQ7SHzGSjeIOP6m5VlNLvC8', 'https://app.example.com'];
    const clientData = { type: 'webauthn.create', challenge, origin, crossOrigin: false };
    const clientDataJSON = Buffer.from(JSON.stringify(clientData)).toString('base64url');
    const credential = { id, rawId: id, type: 'public-key', response: { clientDataJSON, attestationObject: ATTESTED } };
    const party = { name: 'Notes', id: 'app.example.com', origins: [origin] };
    const webauthn = (await WebAuthn.load())!;
    await expect(webauthn.verifyRegistration(credential, challenge, party)).rejects.toThrow(PasskeyRefusal);
    expect(fetched).not.toHaveBeenCalled();
  });

  it('is null without the optional package, and throws what else is wrong with it', async () => {
    const missing = (code: string, message: string) => () =>
      Promise.reject(Object.assign(new Error(message), { code }));
    const name = "'@simplewebauthn/server'";
    expect(
      await WebAuthn.load(missing('ERR_MODULE_NOT_FOUND', `Cannot find package ${name} imported from x`)),
    ).toBeNull();
    expect(await WebAuthn.load(missing('MODULE_NOT_FOUND', `Cannot find module ${name}`))).toBeNull();
    await expect(WebAuthn.load(missing('ERR_MODULE_NOT_FOUND', "Cannot find package 'asn1'"))).rejects.toThrow('asn1');
    expect(await WebAuthn.load()).toBeInstanceOf(WebAuthn);
  });

  it('reads a challenge where there is one', () => {
    const of = (text: string) => challengeOf({ response: { clientDataJSON: Buffer.from(text).toString('base64url') } });
    expect(of('{"challenge":"abc"}')).toBe('abc');
    for (const text of ['{}', '', 'null', '"x"', '{"challenge":7}', '[]']) expect(of(text)).toBeNull();
  });
});
