import { afterAll, beforeAll, beforeEach } from '@jest/globals';
import request, { type Test } from 'supertest';
import { createUser, startTestApp, type Platform, type TestApp } from './app.js';

export interface Attempt {
  /** Where it comes from. Default: the test's own address. */
  address?: string;
  /** Default: the test's own account. */
  login?: string;
  path?: string;
  cookie?: string;
}

export interface LoginAttempts {
  /** With the limits that are on by default, behind a trusted proxy. */
  readonly t: TestApp;
  /** An account of the test's own. */
  readonly email: string;
  /** An address of the test's own. */
  readonly from: string;
  /** An address that has done nothing yet. */
  readonly elsewhere: () => string;
  readonly attempt: (password: unknown, attempt?: Attempt) => Test;
  /** One wrong password from an address that has no back-off. */
  readonly wrongFromElsewhere: (login?: string) => Test;
}

/** Logins at one application for all tests of a `describe`; each test has an account and an address of its own. */
export function loginAttempts(platform: Platform): LoginAttempts {
  let t: TestApp;
  let email: string;
  let from: string;
  let hosts = 0;
  beforeAll(async () => {
    t = await startTestApp({ platform, auth: { rateLimits: undefined, trustedProxies: ['127.0.0.1'] } });
  });
  afterAll(() => t?.close());
  beforeEach(async () => {
    ({ email } = await createUser(t.app));
    from = elsewhere();
  });
  const elsewhere = () => `198.51.${++hosts >> 8}.${hosts & 255}`;
  const attempt = (
    password: unknown,
    { address = from, login = email, path = '/auth/login', cookie = '' }: Attempt = {},
  ) => request(t.url).post(path).set('X-Forwarded-For', address).set('Cookie', cookie).send({ email: login, password });
  return {
    get t() {
      return t;
    },
    get email() {
      return email;
    },
    get from() {
      return from;
    },
    elsewhere,
    attempt,
    wrongFromElsewhere: (login = email) => attempt('wrong', { address: elsewhere(), login }),
  };
}
