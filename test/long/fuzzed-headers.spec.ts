import { isIP } from 'node:net';
import { Controller, Get, Headers, Post, Req, Res } from '@nestjs/common';
import { beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CurrentUser, OptionalAuth, Public, SessionService } from 'nestjs-latchkey';
import { ClientIp } from 'nestjs-latchkey/engine';
import { createUser, PLATFORMS } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';
import { hostileHeaders, SentHeaders, TRUSTED_ORIGIN } from '../support/hostile-headers.js';
import { sendAll, type RawAnswer } from '../support/raw-http.js';

/** On both adapters together 100,000. */
const SEEDS = 50;
const EACH = 1_000;
/** The address that our proxy, 127.0.0.1, appends: what the client wrote itself stands left of it. */
const VISITOR = '198.51.100.77';

@Controller()
class RoutesController {
  constructor(private readonly clientIp: ClientIp) {}

  @OptionalAuth()
  @Get('who')
  who(@CurrentUser('email') email: string | null, @Req() request: Parameters<ClientIp['of']>[0]) {
    return { email, ip: this.clientIp.of(request) };
  }

  @Get('guarded')
  guarded() {
    return 'in';
  }

  @Post('change')
  change() {
    return 'changed';
  }

  /** What many applications do by hand, for the negative control. */
  @Public()
  @Get('by-hand')
  byHand(
    @Headers('cookie') cookie: string | undefined,
    @Res({ passthrough: true }) response: { status(code: number): void },
  ) {
    const pairs = decodeURIComponent(cookie ?? '')
      .split(';')
      .map((pair) => pair.split('='));
    const token = pairs.find(([name]) => name!.trim() === '__Host-session')?.[1]?.slice(0, 43);
    response.status(token?.length === 43 ? 200 : 401);
  }
}

interface Route {
  readonly target: string;
  /** Whether the answer gives more than these headers may have. */
  isWrong(answer: RawAnswer, sent: SentHeaders, token: string): boolean;
}

const isIn = ({ status }: RawAnswer) => status >= 200 && status < 300;
const WHO: Route = {
  target: 'GET /who',
  isWrong: (answer, sent, token) => {
    if (!isIn(answer)) return false;
    const { email, ip } = JSON.parse(answer.body) as { email: string | null; ip: string };
    return (
      (email !== null && !sent.presents(token)) ||
      (sent.all('x-forwarded-for').at(-1) === VISITOR ? ip !== VISITOR : isIP(ip) === 0)
    );
  },
};
const GUARDED: Route = {
  target: 'GET /guarded',
  isWrong: (answer, sent, token) => isIn(answer) && !sent.presents(token),
};
const CHANGE: Route = {
  target: 'POST /change',
  isWrong: (answer, sent, token) => isIn(answer) && !(sent.presents(token) && sent.mayChange()),
};
const BY_HAND: Route = { ...GUARDED, target: 'GET /by-hand' };

describe.each(PLATFORMS)('R19: hostile headers of every kind on %s', (platform) => {
  const t = sharedTestApp({
    platform,
    controllers: [RoutesController],
    auth: { trustedProxies: ['127.0.0.1'], trustedOrigins: [TRUSTED_ORIGIN], cache: { enabled: true } },
  });
  let token: string;
  beforeAll(async () => {
    const ada = await createUser(t.app, 'ada@example.com');
    ({ token } = await t.app.get(SessionService).create(ada.id));
  });

  /** What was not answered, with a 5xx, or with more than it may: with the seed, to be repeated. */
  async function tryAll(seeds: number, routes: readonly Route[]) {
    const wrong: { seed: number; target: string; status: number; headers: string }[] = [];
    const statuses: Record<string, number> = {};
    for (let seed = 1; seed <= seeds; seed++) {
      const route = routes[seed % routes.length]!;
      const headers = fc
        .sample(hostileHeaders(token), { numRuns: EACH, seed })
        .map((made, i) => (i % 2 ? made : Buffer.concat([made, Buffer.from(`X-Forwarded-For: ${VISITOR}\r\n`)])));
      const answers = await sendAll(t.url, headers, route.target);
      for (const [i, answer] of answers.entries()) {
        const { status } = answer;
        statuses[status] = (statuses[status] ?? 0) + 1;
        if (status > 0 && status < 500 && !route.isWrong(answer, new SentHeaders(headers[i]!), token)) continue;
        wrong.push({ seed, target: route.target, status, headers: headers[i]!.toString('latin1') });
      }
    }
    return { wrong, statuses };
  }

  it('50,000 of them: never a 5xx, nobody is let in without the token, no foreign page changes anything', async () => {
    const { wrong, statuses } = await tryAll(SEEDS, [WHO, GUARDED, CHANGE]);
    expect(wrong.slice(0, 5)).toEqual([]);
    // Many of them are let in, refused by each guard, and refused by Node.
    for (const status of [200, 201, 400, 401, 403]) expect(statuses[status]).toBeGreaterThan(SEEDS);
  }, 300_000);

  it('finds both in a route that reads the header by hand (negative control)', async () => {
    const { wrong } = await tryAll(2, [BY_HAND]);
    expect(new Set(wrong.map(({ status }) => status))).toEqual(new Set([200, 500]));
  });

  it('and a valid cookie and a valid bearer token are let in', async () => {
    const valid = [`Cookie: __Host-session=${token}\r\n`, `Authorization: Bearer ${token}\r\n`];
    for (const { target } of [WHO, GUARDED, CHANGE]) {
      const answers = await sendAll(
        t.url,
        valid.map((header) => Buffer.from(header)),
        target,
      );
      expect(answers.map(isIn)).toEqual([true, true]);
    }
  });
});
