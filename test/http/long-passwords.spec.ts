import { describe, expect, it, jest } from '@jest/globals';
import { PostgresUserDirectory } from 'nestjs-latchkey';
import { PasswordChangeService, PasswordLogin } from 'nestjs-latchkey/flows';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';

/** NFC sorts a run of combining marks in quadratic time: a megabyte of them takes minutes of the event loop. */
const MARKS = `a${'\u0301\u0316'.repeat(20_000)}`;

describe.each(PLATFORMS)('%s: a text of combining marks in place of a password', (platform) => {
  const t = sharedTestApp({ platform });

  /** The lengths of what was normalized meanwhile, in UTF-16 units. */
  async function normalized(work: () => Promise<unknown>): Promise<number[]> {
    const normalize = jest.spyOn(String.prototype, 'normalize');
    try {
      await work();
      return normalize.mock.contexts.map((text) => String(text).length);
    } finally {
      normalize.mockRestore();
    }
  }

  it.each(['login', 'token'])('POST %s refuses it without normalizing it', async (route) => {
    const { email } = await createUser(t.app);
    const lengths = await normalized(() =>
      request(t.url).post(`/auth/${route}`).send({ email, password: MARKS }).expect(422),
    );
    expect(Math.max(...lengths)).toBeLessThan(10_000);
  });

  it('everything else that takes a password refuses it without normalizing it', async () => {
    const { id, email } = await createUser(t.app);
    const passwords = t.app.get(PasswordChangeService);
    const users = t.app.get(PostgresUserDirectory);
    const code = (promise: Promise<unknown>) => promise.catch(({ code: name }: { code: string }) => name);
    const lengths = await normalized(async () => {
      expect(await code(passwords.changePassword(id, PASSWORD, MARKS))).toBe('WEAK_PASSWORD');
      expect(await code(passwords.changePassword(id, MARKS, 'a better passphrase'))).toBe('INVALID_CREDENTIALS');
      expect(await code(users.create('new@example.com', MARKS))).toBe('WEAK_PASSWORD');
      expect(await code(t.app.get(PasswordLogin).verify(email, MARKS))).toBe('INVALID_CREDENTIALS');
    });
    expect(Math.max(0, ...lengths)).toBeLessThan(10_000);
  });
});
