import { Controller, Get } from '@nestjs/common';
import { beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CurrentUser, OptionalAuth, SessionService } from 'nestjs-latchkey';
import { createUser, PLATFORMS } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';
import { hostileCredentials } from '../support/hostile-headers.js';
import { sendAll } from '../support/raw-http.js';

/** Fifty times as many, of every header: `test/long/fuzzed-headers.spec.ts`. */
const COUNT = 1_000;

@Controller()
class WhoController {
  @OptionalAuth()
  @Get('who')
  who(@CurrentUser('email') email: string | null) {
    return { email };
  }

  @Get('guarded')
  guarded() {
    return 'in';
  }
}

describe.each(PLATFORMS)('R19: hostile Cookie and Authorization headers on %s', (platform) => {
  const t = sharedTestApp({ platform, controllers: [WhoController] });
  let token: string;
  beforeAll(async () => {
    const ada = await createUser(t.app, 'ada@example.com');
    ({ token } = await t.app.get(SessionService).create(ada.id));
  });

  it(`${COUNT} of them: anonymous, no query, never a 5xx`, async () => {
    const headers = fc.sample(hostileCredentials(token), { numRuns: COUNT, seed: 20_261_121 });
    t.queries.reset();
    const answers = await sendAll(t.url, headers);
    expect(answers).toHaveLength(COUNT);
    const unexpected = answers.filter(({ status, body }, i) => {
      const anonymous = status === 200 && body === '{"email":null}';
      return !anonymous && !isValid(headers[i]!, token);
    });
    expect(unexpected).toEqual([]);
    // A few inputs are well-formed by chance of the mutation, and cost the one query that any token costs.
    expect(t.queries.statements.length).toBeLessThanOrEqual(
      headers.filter((header) => hasWellFormedToken(header)).length,
    );
    expect(t.queries.writes).toEqual([]);
  }, 120_000);

  it('the same harness sees a valid cookie and a valid bearer token (negative control)', async () => {
    const answers = await sendAll(t.url, [
      Buffer.from(`Cookie: __Host-session=${token}\r\n`),
      Buffer.from(`Authorization: Bearer ${token}\r\n`),
    ]);
    for (const { body } of answers) expect(body).toBe('{"email":"ada@example.com"}');
  });

  it.each([
    ['16 KB of our cookie', `Cookie: ${`__Host-session=${'A'.repeat(43)}; `.repeat(250)}\r\n`],
    ['a cookie of 12 KB', `Cookie: __Host-session=${'A'.repeat(12_000)}\r\n`],
    ['a bearer of 12 KB', `Authorization: Bearer ${'A'.repeat(12_000)}\r\n`],
    ['100 Cookie headers', `Cookie: __Host-session=${'A'.repeat(43)}\r\n`.repeat(100)],
  ])('oversized: %s: 401 and no query', async (_, header) => {
    t.queries.reset();
    const [answer] = await sendAll(t.url, [Buffer.from(header)], 'GET /guarded');
    expect(answer!.status).toBe(401);
    expect(t.queries.statements).toEqual([]);
  });

  it('H2: a cookie whose name begins with U+00A0 is another cookie, alone and beside ours', async () => {
    const ours = `__Host-session=${token}`;
    const answers = await sendAll(
      t.url,
      [`\xa0${ours}`, `a=b; \xa0${ours}`, `\x85${ours}`, `\xa0__Host-session=x; ${ours}`].map((cookie) =>
        Buffer.from(`Cookie: ${cookie}\r\n`, 'latin1'),
      ),
      'GET /guarded',
    );
    expect(answers.map(({ status }) => status)).toEqual([401, 401, 401, 200]);
  });

  it('a header past the limit of Node: 431, and the server goes on', async () => {
    const [answer] = await sendAll(t.url, [Buffer.from(`Cookie: ${'a'.repeat(40_000)}\r\n`)]);
    expect(answer!.status).toBe(431);
    const [next] = await sendAll(t.url, [Buffer.from(`Cookie: __Host-session=${token}\r\n`)]);
    expect(next!.status).toBe(200);
  });
});

/** A mutation may leave the token as it was, as the only one of its name: then it is simply right. */
function isValid(headers: Buffer, token: string): boolean {
  return headers.toString('latin1').includes(token);
}

function hasWellFormedToken(headers: Buffer): boolean {
  return /(^|[^A-Za-z0-9_-])[A-Za-z0-9_-]{43}($|[^A-Za-z0-9_-])/.test(headers.toString('latin1'));
}
