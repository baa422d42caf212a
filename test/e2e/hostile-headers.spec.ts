import { connect, type Socket } from 'node:net';
import { Controller, Get } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CurrentUser, OptionalAuth, SessionService } from 'nestjs-latchkey';
import { createUser, PLATFORMS, startTestApp, type TestApp } from '../support/app.js';

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

/** Any bytes that HTTP allows in a field value: what a hostile client can make reach us. */
const fieldValue = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: fc.integer({ min: 0x20, max: 0x7e }) },
      fc.integer({ min: 0x80, max: 0xff }),
      fc.constant(9),
    ),
    {
      maxLength: 200,
    },
  )
  .map((bytes) => Buffer.from(bytes));
const text = (...parts: string[]) => fc.constantFrom(...parts);

/** Headers that look like ours and are not: prefixes, separators, doubled names, cut and padded tokens. */
function hostileHeader(token: string): fc.Arbitrary<Buffer> {
  const nearToken = fc
    .tuple(fc.nat(token.length), fc.constantFrom('', '=', ' ', '%00', '"', ';', ',', '\u00ff', '.', '/'), fc.boolean())
    .map(([at, extra, cut]) => token.slice(0, at) + extra + token.slice(cut ? at + 1 : at + 2));
  const cookiePair = fc
    .tuple(
      text('__Host-session', 'session', '__Host-session ', '__host-session', '', '__Host-session__Host-session'),
      text('=', '==', ' = ', ''),
      nearToken,
    )
    .map((parts) => parts.join(''));
  const cookies = fc.array(cookiePair, { minLength: 1, maxLength: 4 }).map((pairs) => `Cookie: ${pairs.join('; ')}`);
  const scheme = text('Bearer', 'bearer', 'BEARER', 'Bearer Bearer', 'Basic', 'Digest', '', 'Bearer,', 'Bearer\t');
  const authorization = fc
    .tuple(scheme, text(' ', '  ', '', '\t'), nearToken)
    .map((parts) => `Authorization: ${parts.join('')}`);
  const raw = fc
    .tuple(
      text(
        'Cookie: ',
        'Authorization: ',
        'Cookie: __Host-session=',
        'Authorization: Bearer ',
        'Cookie: a=b; __Host-session=',
      ),
      fieldValue,
    )
    .map(([name, value]) => Buffer.concat([Buffer.from(name), value]));
  const one = fc.oneof(
    raw,
    cookies.map((header) => Buffer.from(header, 'latin1')),
    authorization.map((header) => Buffer.from(header, 'latin1')),
  );
  return fc
    .array(one, { minLength: 1, maxLength: 3 })
    .map((headers) => Buffer.concat(headers.flatMap((header) => [header, Buffer.from('\r\n')])));
}

describe.each(PLATFORMS)('R19: hostile Cookie and Authorization headers on %s', (platform) => {
  let t: TestApp;
  let token: string;
  beforeAll(async () => {
    t = await startTestApp({ platform, controllers: [WhoController] });
    const ada = await createUser(t.app, 'ada@example.com');
    ({ token } = await t.app.get(SessionService).create(ada.id));
  });
  afterAll(() => t?.close());

  it('10,000 of them: anonymous, no query, never a 5xx', async () => {
    const headers = fc.sample(hostileHeader(token), { numRuns: 10_000, seed: 20_261_121 });
    t.queries.reset();
    const answers = await sendAll(t.url, headers);
    expect(answers).toHaveLength(10_000);
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
    const [answer] = await sendAll(t.url, [Buffer.from(header)], '/guarded');
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
      '/guarded',
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

interface Answer {
  status: number;
  body: string;
}

/** Sends raw bytes over a few kept-alive sockets: no HTTP client would let these headers through. */
async function sendAll(url: string, headers: Buffer[], path = '/who'): Promise<Answer[]> {
  const answers = Array.from<Answer>({ length: headers.length });
  let next = 0;
  const lane = async () => {
    let socket: Socket | null = null;
    while (next < headers.length) {
      const index = next++;
      socket ??= connect(Number(new URL(url).port), '127.0.0.1');
      const { answer, close } = await exchange(socket, headers[index]!, path);
      answers[index] = answer;
      if (close) socket = (socket.destroy(), null);
    }
    socket?.destroy();
  };
  await Promise.all(Array.from({ length: 8 }, lane));
  return answers;
}

function exchange(socket: Socket, headers: Buffer, path: string): Promise<{ answer: Answer; close: boolean }> {
  return new Promise((resolve, reject) => {
    let received = '';
    const finish = (close: boolean) => {
      socket.removeAllListeners('data').removeAllListeners('close').removeAllListeners('error');
      const status = Number(received.slice(9, 12));
      resolve({ answer: { status, body: received.slice(received.indexOf('\r\n\r\n') + 4) }, close });
    };
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1');
      const head = received.indexOf('\r\n\r\n');
      if (head === -1) return;
      const length = Number(/content-length: (\d+)/i.exec(received)?.[1] ?? 0);
      if (received.length >= head + 4 + length) finish(/connection: close/i.test(received));
    });
    socket.once('close', () => (received ? finish(true) : reject(new Error('The server closed without an answer.'))));
    socket.once('error', reject);
    socket.write(Buffer.concat([Buffer.from(`GET ${path} HTTP/1.1\r\nHost: x\r\n`), headers, Buffer.from('\r\n')]));
  });
}
