import { Logger } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS, startTestApp } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';

describe.each(PLATFORMS)('H45: what the log says of a misconfiguration, on %s', (platform) => {
  const t = sharedTestApp({ platform });
  let said: string[];
  const credentials = { email: 'ada@example.com', password: PASSWORD };
  beforeEach(() => {
    said = [];
    for (const level of ['warn', 'error'] as const)
      jest.spyOn(Logger.prototype, level).mockImplementation((message: unknown) => void said.push(String(message)));
  });
  afterEach(() => void jest.restoreAllMocks());

  const login = (headers: Record<string, string> = {}) =>
    request(t.url).post('/auth/login').set(headers).send(credentials);

  it('no account: how to make one', async () => {
    await login().expect(503);
    expect(said).toEqual([
      expect.stringMatching(/^SETUP_INCOMPLETE: .*PostgresUserDirectory\.create\(email, password\)/),
    ]);
    await createUser(t.app, credentials.email);
  });

  it('a foreign origin: once, with the option', async () => {
    for (let i = 0; i < 3; i++) await login({ Origin: 'https://spa.example' }).expect(403);
    await login({ Origin: 'https://two.example' }).expect(403);
    expect(said).toEqual([
      expect.stringMatching(/^CROSS_ORIGIN_REQUEST: .*\(https:\/\/spa\.example\).*trustedOrigins/),
      expect.stringMatching(/\(https:\/\/two\.example\)/),
    ]);
  });

  it('any number of foreign origins: a hundred lines', async () => {
    for (let i = 0; i < 120; i++) await login({ Origin: `https://evil${i}.example` }).expect(403);
    expect(said).toHaveLength(98);
  });

  it('a Secure cookie over plain http to another host: once; not for localhost, nor behind TLS', async () => {
    await login().expect(200);
    await login({ Host: 'localhost:3000', Origin: 'http://localhost:3000' }).expect(200);
    await login({ Host: 'app.example', Origin: 'https://app.example' }).expect(200);
    await login({ Host: 'app.example', 'X-Forwarded-Proto': 'https' }).expect(200);
    expect(said).toEqual([]);
    for (let i = 0; i < 3; i++) await login({ Host: 'app.example', Origin: 'http://app.example' }).expect(200);
    expect(said).toEqual([expect.stringMatching(/^A Secure cookie was sent over plain http to app\.example: /)]);
  });

  it('secure: false: nothing to warn about', async () => {
    const plain = await startTestApp({ platform, auth: { cookie: { secure: false } } });
    await createUser(plain.app, credentials.email);
    await request(plain.url).post('/auth/login').set('Host', 'app.example').send(credentials).expect(200);
    await plain.close();
    expect(said.filter((line) => line.includes('plain http'))).toEqual([]);
  });
});
