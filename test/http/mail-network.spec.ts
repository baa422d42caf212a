import { beforeEach, describe, expect, it } from '@jest/globals';
import { minutes, RateLimitService } from 'nestjs-latchkey';
import request from 'supertest';
import { PLATFORMS } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';
import { MAIL } from '../support/flows.js';

const LIMIT = 200;

describe.each(PLATFORMS)('F16: limits of an IPv6 network, on %s', (platform) => {
  const t = sharedTestApp({
    platform,
    auth: {
      ...MAIL,
      rateLimits: undefined,
      trustedProxies: ['127.0.0.1'],
      flows: { registration: {}, passwordReset: {}, emailChange: {} },
    },
  });
  let round = 0;
  beforeEach(() => {
    t.clock.advance(minutes(60));
    round++;
  });

  const ask = (path: string, address: string, body: object = { email: 'nobody@example.net' }) =>
    request(t.url).post(`/auth/${path}`).set('X-Forwarded-For', address).send(body);
  /** The statuses of so many requests, 20 at a time, from the address of each. */
  const statuses = async (count: number, addressOf: (i: string) => string) => {
    const all: number[] = [];
    for (let i = 0; i < count; i += 20) {
      const batch = Array.from({ length: 20 }, (_, j) => ask('forgot-password', addressOf((i + j + 1).toString(16))));
      all.push(...(await Promise.all(batch)).map(({ status }) => status));
    }
    return all;
  };
  const isRefused = (status: number) => status === 429;

  it('F16: 300 requests from 300 /64 of one /48 stop at 200; from 220 /48 they do not', async () => {
    const site = `2001:db8:${round.toString(16)}`;
    const all = await statuses(300, (i) => `${site}:${i}::1`);
    expect(all.filter((status) => !isRefused(status))).toHaveLength(LIMIT);
    const refused = await ask('forgot-password', `${site}:ffff::1`).expect(429);
    expect(refused.headers['ratelimit']).toContain('"mail_network";r=0');
    expect(refused.headers['retry-after']).toBe(String(15 * 60));
    // Negative control, and everybody else is unaffected.
    expect((await statuses(LIMIT + 20, (i) => `2001:db9:${i}::1`)).filter(isRefused)).toEqual([]);
    t.clock.advance(minutes(15));
    await ask('forgot-password', `${site}:ffff::1`).expect(202);
  });

  const LINK = { token: 'x'.repeat(43) };
  it.each<[path: string, body: object, otherwise: number]>([
    ['register', { email: 'nobody@example.net' }, 202],
    ['register/resend', { email: 'nobody@example.net' }, 202],
    ['reset-password', { ...LINK, password: 'correct horse battery staple' }, 400],
    ['confirm-email-change', LINK, 400],
  ])('F16: %s too', async (path, body, otherwise) => {
    const site = `2001:db8:${round.toString(16)}:`;
    const limits = t.app.get(RateLimitService);
    for (let i = 1; i < LIMIT; i++) await limits.record('mail_network', `${site}:/48`);
    await ask(path, `${site}1::1`, body).expect(otherwise);
    await ask(path, `${site}2::1`, body).expect(429);
    await ask(path, `2001:db9:${round}::1`, body).expect(otherwise);
  });

  it('F16: an IPv4 address has no network: its neighbours are strangers', async () => {
    const { headers } = await ask('forgot-password', '198.51.100.1').expect(202);
    expect(headers['ratelimit-policy']).toBe('"password_reset_ip";q=10;w=900, "mail_ip";q=20;w=900');
  });

  it('F16: a request that several limits count is one for the network', async () => {
    await ask('register', '2001:db8:aaaa::1').expect(202);
    const { remaining } = await t.app.get(RateLimitService).check('mail_network', '2001:db8:aaaa::/48');
    expect(remaining).toBe(LIMIT - 1);
  });
});
