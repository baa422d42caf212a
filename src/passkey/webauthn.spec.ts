import { describe, expect, it } from '@jest/globals';
import { challengeOf, WebAuthn } from './webauthn.js';

describe('WebAuthn', () => {
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
