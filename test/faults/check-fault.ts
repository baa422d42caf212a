import { expect } from '@jest/globals';
import { AuthError, days, EphemeralTokenService, RateLimitService } from 'nestjs-latchkey';
import request from 'supertest';
import { PASSWORD, type TestApp } from '../support/app.js';
import { until } from '../support/heard.js';
import type { TcpProxy } from '../support/tcp-proxy.js';
import { namesOf, objectionTo, sendAll } from './answers.js';
import { missingRoutes, visitorsOf } from './public-routes.js';

export interface Fault {
  readonly name: string;
  /** What is still possible meanwhile. */
  readonly leaves: 'all' | 'reads' | 'nothing' | 'anything';
  begin(): Promise<void>;
  end(): Promise<void>;
}

/** Away for a moment: what was under way may have been done or not. */
export const restarted = (stop: () => Promise<unknown>, start: () => Promise<unknown>): Fault => ({
  name: 'restarted',
  leaves: 'anything',
  begin: async () => {
    await stop();
    await start();
  },
  end: async () => {},
});

/** What happens to any server, behind this proxy. */
export const faultsOf = (
  server: Record<'stop' | 'start', () => Promise<unknown>>,
  proxy: TcpProxy,
): readonly Fault[] => [
  { name: 'slow', leaves: 'all', begin: async () => proxy.slow(25), end: async () => proxy.slow(0) },
  { name: 'cut off', leaves: 'nothing', begin: async () => proxy.cut(), end: async () => proxy.heal() },
  {
    name: 'stopped',
    leaves: 'nothing',
    begin: async () => void (await server.stop()),
    end: async () => void (await server.start()),
  },
  restarted(server.stop, server.start),
];

/** No answer is waited for longer: many times the deadline, so that it also holds on a busy machine. */
const PROMPTLY = 10_000;

/** What a slow storage can serve within its deadline. */
const SLOW_AT_ONCE = 8;

/** The deadlines of these tests are so short that a busy machine can miss one before there is any fault. */
async function prepared(t: TestApp, name: string, attempt = 1): ReturnType<typeof visitorsOf> {
  try {
    return await visitorsOf(t, `${name}-${attempt}`);
  } catch (error) {
    if (attempt === 5 || !(error instanceof AuthError && error.code === 'STORE_UNAVAILABLE')) throw error;
    return prepared(t, name, attempt + 1);
  }
}

/**
 * Every public route with every kind of credential, during the fault and while it ends: each answer is the right one or
 * 503, in time, and a 503 leaves the cookie. What was answered 200 has happened. Afterwards everything works again by
 * itself, and nothing is lost: no token is spent, and no mail is promised that neither comes nor is told as failed.
 */
export async function checkFault(t: TestApp, fault: Fault): Promise<void> {
  const visitors = [await prepared(t, 'during'), await prepared(t, 'ending')];
  // Every session is due for its extension.
  t.clock.advance(days(25));
  const [during, afterwards] = await Promise.all(visitors.map((visits) => visits()));
  expect(missingRoutes(t, during!.all)).toEqual([]);
  // Negative control: it does know the routes of the flows.
  expect(missingRoutes(t, [])).toEqual(expect.arrayContaining(['POST login', 'POST register', 'DELETE account']));
  const limits = t.app.get(RateLimitService);
  const counted = async () => (await limits.check('email_send', '127.0.0.1')).remaining;
  const before = await counted();

  await fault.begin();
  // Where reads go on, a connection that was lost has to be made anew first.
  const page = during!.all.find(({ name }) => name === 'a guarded page, cookie')!;
  if (fault.leaves === 'reads') await until(async () => (await page.send()).status === 200);
  const answers = await sendAll(during!.all, fault.leaves === 'all' ? SLOW_AT_ONCE : undefined);
  const ending = sendAll(afterwards!.all);
  await fault.end();
  const all = [...answers, ...(await ending)];
  expect(all.map(objectionTo).filter((objection) => objection !== null)).toEqual([]);
  expect(namesOf(all, ({ ms }) => ms > PROMPTLY)).toEqual([]);
  const away = ({ answer }: (typeof answers)[number]) => answer.status === 503;
  if (fault.leaves === 'all') expect(namesOf(answers, away)).toEqual([]);
  if (fault.leaves === 'reads') {
    expect(namesOf(answers, (answered) => away(answered) && !answered.visit.writes)).toEqual([]);
    expect(namesOf(answers, away)).toEqual(expect.arrayContaining(['POST login', 'POST token']));
  }
  if (fault.leaves === 'nothing')
    expect(namesOf(answers, away)).toEqual(expect.arrayContaining(['POST login', 'POST token']));

  // By itself.
  const isWell = async () => {
    const again = await sendAll(during!.all.filter(({ credential }) => credential !== 'live' && credential !== 'once'));
    return again.every(({ visit, answer }) => answer.status === visit.healthy);
  };
  await until(isWell);
  for (const { visit, answer } of all) {
    if (answer.status === visit.healthy && visit.done) {
      expect([visit.name, await visit.done(answer)]).toEqual([visit.name, true]);
    } else if (visit.happened && !(await visit.happened())) {
      // Nothing was spent: it is done as if it were the first time.
      const again = await visit.send();
      expect([visit.name, again.status, await visit.done!(again)]).toEqual([visit.name, visit.healthy, true]);
    }
  }
  const answered = ({ answer }: (typeof answers)[number]) => answer.status === 201;
  const admitted = all.filter((one) => one.visit.name === 'a limited page' && answered(one)).length;
  expect(before - (await counted())).toBeGreaterThanOrEqual(admitted);
  for (const { owner, token } of [during!, afterwards!]) {
    const tokens = t.app.get(EphemeralTokenService);
    expect(await tokens.consume('password_reset', token)).toEqual({ username: owner.email });
    expect(await tokens.consume('password_reset', token)).toBeNull();
    await request(t.url).post('/auth/login').send({ email: owner.email, password: PASSWORD }).expect(200);
  }
}
