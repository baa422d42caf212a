import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createHash } from 'node:crypto';
import { FrozenClock } from '../testing/frozen-clock.js';
import type { PasswordViolation } from '../auth.errors.js';
import { seconds } from '../common/duration.js';
import { AuthConfig } from '../config/auth-config.js';
import type { AuthOptions } from '../config/auth-options.js';
import type { PasswordSettings } from '../config/password-settings.js';
import type { AuthEvent } from '../events/auth-event.js';
import { AuthEvents } from '../events/auth-events.js';
import { BreachedPasswords } from './breached-passwords.js';
import { commonPasswordCount } from './common-passwords.js';
import { DefaultPasswordPolicy } from './default-password-policy.js';
import { NewPasswords } from './new-passwords.js';
import { PasswordHasher } from './password-hasher.js';
import { PasswordPolicy, type PasswordContext } from './password-policy.js';

const SECRETS = ['x'.repeat(32)];
const EMAIL = 'ada.lovelace+notes@engines.example';

function newPasswords(password: Partial<PasswordSettings> = {}, options: Partial<AuthOptions> = {}) {
  const events = new AuthEvents();
  const heard: AuthEvent[] = [];
  events.on((event) => void heard.push(event));
  const config = AuthConfig.from({ secrets: SECRETS, password, ...options });
  const policy = new DefaultPasswordPolicy(config, new BreachedPasswords(config, new FrozenClock(), events));
  return { gate: new NewPasswords(policy), policy, heard };
}

/** The rules that the password breaks, or the code of another error; nothing if it is accepted. */
async function broken(gate: NewPasswords, password: unknown, context?: PasswordContext): Promise<readonly string[]> {
  try {
    await gate.accept(password as string, context, 'newPassword');
    return [];
  } catch (error) {
    const { code, facts } = error as { code: string; facts: { rules?: readonly string[] } };
    return code === 'WEAK_PASSWORD' ? facts.rules! : [code];
  }
}

const short = ['too_short'];
const long = ['too_long'];
const common = ['common'];
const context = ['contains_context'];
const HORSE = '\u{1F40E}';
/** Three characters that NFC makes one of. */
const STACKED = 'a\u0323\u0302';

describe('F33: the default policy', () => {
  const { gate } = newPasswords(
    { contextWords: ['Acme', 'Rocket Skates'] },
    { baseUrl: 'https://app.looneytunes.example' },
  );
  const withSecondFactor = { email: EMAIL, hasSecondFactor: true };

  it.each<[string, string, readonly string[], PasswordContext?]>([
    // How long it is.
    ['nothing', '', short],
    ['14 characters', 'zebra lamp 734', short],
    ['15 characters', 'zebra lamp 7342', []],
    ['7 characters with a second factor', 'zb lp 7', short, withSecondFactor],
    ['8 characters with a second factor', 'zb lp 73', [], withSecondFactor],
    ['8 characters when the second factor is not known', 'zb lp 73', short, { email: EMAIL }],
    ['64 characters', 'zebra lamp 7342 '.repeat(4), []],
    ['65 characters', `${'zebra lamp 7342 '.repeat(4)}x`, []],
    ['1,024 characters', 'zebra lamp 7342 '.repeat(64), []],
    ['1,025 characters', `${'zebra lamp 7342 '.repeat(64)}x`, long],
    ['a megabyte', 'x'.repeat(1_000_000), long],
    // What counts as a character.
    ['14 emoji, which are 28 UTF-16 units', HORSE.repeat(14), short],
    ['15 emoji', HORSE.repeat(15), []],
    ['1,024 emoji', HORSE.repeat(1_024), []],
    ['1,025 emoji', HORSE.repeat(1_025), long],
    ['an emoji of 7 code points, twice', '\u{1F469}\u200d\u2764\ufe0f\u200d\u{1F468}\ufe0f'.repeat(2), short],
    ['5 letters of 3 code points each, which are 5 after NFC', STACKED.repeat(5), short],
    ['15 of them', STACKED.repeat(15), []],
    ['1,024 of them, in 3,072 UTF-16 units', STACKED.repeat(1_024), []],
    ['15 letters with a mark that NFC cannot join', 'q\u0307'.repeat(8), []],
    ['Hangul in jamo, 15 that are 5 syllables', '\u1112\u1161\u11ab'.repeat(5), short],
    ['15 Chinese characters', '正確的馬電池訂書針今天下午很高興', []],
    ['15 Arabic letters', 'حصان صحيح بطارية', []],
    ['15 spaces around a word', '       zebra        ', []],
    ['spaces at both ends count', '  zebra lamp 7 ', []],
    ['no-break and ideographic spaces', 'zebra\u00a0lamp\u30007342', []],
    ['a NUL, a tab and a line break', 'zebra\0lamp\t7342\n', []],
    ['a lone high surrogate', `zebra lamp 7342\ud83d`, ['INVALID_INPUT']],
    ['lone low surrogates only', '\udc0e'.repeat(15), ['INVALID_INPUT']],
    // No rules of composition.
    ['lower case letters only', 'zebralampquartz', []],
    ['digits only', '734205918463725', []],
    ['upper case letters only', 'ZEBRALAMPQUARTZ', []],
    // Common ones.
    ['a common one of 8 characters', 'football', ['too_short', 'common']],
    ['the same with a second factor', 'football', common, withSecondFactor],
    ['a common one of 15 characters', '123456789012345', common],
    ['a key row', 'qwertyuiopasdfghjkl', common],
    ['one character many times', 'aaaaaaaaaaaaaaa', common],
    ['a common one in another case', 'PassWordPassWord', common],
    ['a common one in full width', 'ｐａｓｓｗｏｒｄｐａｓｓｗｏｒｄ', common],
    ['a common one in mathematical letters', '\u{1D429}\u{1D41A}\u{1D42C}\u{1D42C}wordpassword', common],
    ['a common one with a ligature of no account', 'ﬀootball', [...short]],
    ['a common one as a part', 'passwordpassword zebra', []],
    ['a passphrase', 'correct horse battery staple', []],
    // Words that others can guess.
    ['the address', EMAIL, context, { email: EMAIL }],
    ['the address in capitals', EMAIL.toUpperCase(), context, { email: EMAIL }],
    ['the address twice', EMAIL + EMAIL, context, { email: EMAIL }],
    ['its local part and a year', 'Ada.Lovelace-2026!', context, { email: EMAIL }],
    ['its local part and a common password', 'lovelace1234567890', context, { email: EMAIL }],
    ['its domain', 'engines.example.2026', context, { email: EMAIL }],
    ['the address of somebody else', EMAIL, [], { email: 'bob@mail.example' }],
    ['its local part in a longer passphrase', 'lovelace zebra lamp', [], { email: EMAIL }],
    ['an address that is in no form', 'zebra lamp 7342', [], { email: '@@' }],
    ['the name of this module', 'latchkeylatchkey', context],
    ['the name of the host', 'LooneyTunes-2026', context],
    ['a configured word', 'ACME acme acme 1', context],
    ['a configured word in full width', 'ＡＣＭＥ-ａｃｍｅ-ａｃｍｅ！', context],
    ['a configured word of two words', 'Rocket_Skates_99', context],
    ['a configured word and emoji', `acme ${HORSE.repeat(15)}`, []],
    ['a configured word in a passphrase', 'acme zebra lamp 7342', []],
    ['a megabyte of combining marks', `a${'\u0301\u0316'.repeat(250_000)}`, long],
    // No text.
    ['undefined', undefined as never, ['INVALID_INPUT']],
    ['null', null as never, ['INVALID_INPUT']],
    ['a number', 123456789012345 as never, ['INVALID_INPUT']],
    ['a list', ['zebra lamp 7342'] as never, ['INVALID_INPUT']],
    ['something with a length', { length: 20 } as never, ['INVALID_INPUT']],
  ])('F33: %s', async (_, password, rules, of = {}) => {
    expect(await broken(gate, password, of)).toEqual(rules);
  });

  it('F33: knows 3,000 common passwords of 8 to 14 characters, and 3,000 that are as long as the default asks for', () => {
    expect(commonPasswordCount()).toBe(6_000);
  });

  it('F33: the least length is an option, and says so', async () => {
    const { gate: longer } = newPasswords({ minLength: 20 });
    await expect(longer.accept('zebra lamp 7342', {}, 'password')).rejects.toMatchObject({
      code: 'WEAK_PASSWORD',
      status: 422,
      facts: { rules: ['too_short'], fields: { password: 'must have at least 20 characters' } },
    });
    expect(await broken(newPasswords({ minLength: 8 }).gate, 'zb lp 73')).toEqual([]);
  });

  it('F33: nothing is cut off: the last of 1,024 characters counts', async () => {
    const hasher = new PasswordHasher(AuthConfig.from({ secrets: SECRETS, password: { memoryCost: 8, timeCost: 1 } }));
    const start = 'zebra lamp 7342 '.repeat(64).slice(0, -1);
    const stored = await hasher.hash(`${start}x`);
    expect(await hasher.matches(stored, `${start}x`)).toBe(true);
    for (const other of [`${start}y`, start, `${start}X`]) expect(await hasher.matches(stored, other)).toBe(false);
  });

  it('F33: no error shows the password', async () => {
    for (const password of ['zebra lamp', 'latchkey-zebra', 'PassWordPassWord', `zebra${'x'.repeat(1_020)}`]) {
      const error = (await gate.accept(password).catch((thrown: unknown) => thrown)) as Error & {
        getResponse(): object;
      };
      const shown = [error.message, error.stack, JSON.stringify(error), JSON.stringify(error.getResponse())].join('\n');
      expect(error).toMatchObject({ code: 'WEAK_PASSWORD' });
      expect(shown).not.toContain(password);
      expect(shown).not.toContain('zebra');
    }
  });

  it.each([
    ['an ordinary one', 'zebra lamp 7342', EMAIL],
    ['a megabyte', 'x'.repeat(1_000_000), EMAIL],

    ['a megabyte of combining marks', `a${'\u0301\u0316'.repeat(500_000)}`, EMAIL],
    ['1,024 characters that are context words', 'latchkey'.repeat(128), EMAIL],
  ])('F33: %s is judged in less than a millisecond', async (_, password, email) => {
    const judge = () => broken(gate, password, { email });
    for (let i = 0; i < 50; i++) await judge();
    const times: number[] = [];
    for (let i = 0; i < 51; i++) {
      const start = performance.now();
      await judge();
      times.push(performance.now() - start);
    }
    expect(times.toSorted((a, b) => a - b)[25]).toBeLessThan(1);
  });

  it('F33: the worst password and address are judged in a few milliseconds', async () => {
    const email = `${Array.from({ length: 75 }, (_, i) => `a${i + 10}`).join('.')}@engines.example`;
    // One character that NFKC makes 18 of.
    for (const password of [
      '\ufdfa'.repeat(1_024),
      `${STACKED}${'\u0301'.repeat(28)}`.repeat(33),
      'a10.'.repeat(256),
    ]) {
      await broken(gate, password, { email });
      const start = performance.now();
      await broken(gate, password, { email });
      expect(performance.now() - start).toBeLessThan(50);
    }
  });
});

describe('F33: a policy of your own', () => {
  class OwnPolicy extends PasswordPolicy {
    readonly asked: unknown[] = [];

    constructor(private readonly answer: () => Promise<readonly PasswordViolation[]>) {
      super();
    }

    override check(password: string, of: PasswordContext): Promise<readonly PasswordViolation[]> {
      this.asked.push([password, of]);
      return this.answer();
    }
  }

  it('F33: takes the place of the default, with rules of its own', async () => {
    const own = new OwnPolicy(() => Promise.resolve([{ rule: 'pet', expected: 'must not be the name of a pet' }]));
    const change = new NewPasswords(own).accept('rex', { userId: '7' }, 'newPassword');
    await expect(change).rejects.toMatchObject({
      code: 'WEAK_PASSWORD',
      facts: { rules: ['pet'], fields: { newPassword: 'must not be the name of a pet' } },
    });
    expect(own.asked).toEqual([['rex', { userId: '7' }]]);
    expect(await broken(new NewPasswords(new OwnPolicy(() => Promise.resolve([]))), 'rex')).toEqual([]);
  });

  it('F33: is not asked about what is no password, or too long for one', async () => {
    const own = new OwnPolicy(() => Promise.resolve([]));
    const gate = new NewPasswords(own);
    expect(await broken(gate, 'x'.repeat(1_000_000))).toEqual(long);
    expect(await broken(gate, null)).toEqual(['INVALID_INPUT']);
    expect(own.asked).toEqual([]);
  });

  it('F33: that throws is an outage, and admits nothing', async () => {
    const own = new OwnPolicy(() => Promise.reject(new Error('the dictionary is away')));
    expect(await broken(new NewPasswords(own), 'zebra lamp 7342')).toEqual(['STORE_UNAVAILABLE']);
  });
});

describe('F33: leaked passwords', () => {
  const LEAKED = 'zebra lamp 7342';
  const FRESH = 'zebra lamp 7343';
  const digest = createHash('sha1').update(LEAKED).digest('hex').toUpperCase();
  const [prefix, suffix] = [digest.slice(0, 5), digest.slice(5)];
  const OTHER = '0018A45C4D1DEF81644B54AB7F969B88D65';

  const requests: IncomingMessage[] = [];
  let answer: (response: ServerResponse, request: IncomingMessage) => void;
  const server = createServer((request, response) => {
    requests.push(request);
    answer(response, request);
  });
  let url: string;
  beforeAll(async () => {
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/range/`;
  });
  afterAll(() => {
    server.closeAllConnections();
    return new Promise((closed) => server.close(closed));
  });
  beforeEach(() => void (requests.length = 0));

  const checking = (settings: NonNullable<PasswordSettings['breachCheck']> = {}) =>
    newPasswords({ breachCheck: { url, ...settings } });

  it.each<[string, string, readonly string[]]>([
    ['is refused', `${OTHER}:3\r\n${suffix}:2254650\r\n`, ['breached']],
    ['is refused in lower case, with line feeds only', `${OTHER}:3\n${suffix.toLowerCase()}:1`, ['breached']],
    ['is accepted if the list has others only', `${OTHER}:3\r\n`, []],
    ['is accepted if its line is padding', `${OTHER}:3\r\n${suffix}:0\r\n`, []],
  ])('F33: %s', async (_, body, rules) => {
    answer = (response) => response.end(body);
    const { gate, heard } = checking();
    expect(await broken(gate, LEAKED)).toEqual(rules);
    expect(heard).toEqual([]);
  });

  it('F33: the service gets 5 digits of the digest, asked for padding, and nothing else', async () => {
    answer = (response) => response.end(`${suffix}:1`);
    expect(await broken(checking().gate, LEAKED, { email: EMAIL })).toEqual(['breached']);
    expect(requests.map(({ method, url: path }) => [method, path])).toEqual([['GET', `/range/${prefix}`]]);
    expect(requests[0]!.headers).toMatchObject({ 'add-padding': 'true', 'user-agent': 'nestjs-latchkey' });
    expect(JSON.stringify([requests[0]!.rawHeaders, requests[0]!.url])).not.toMatch(/zebra|lovelace/i);
    expect(JSON.stringify([requests[0]!.rawHeaders, requests[0]!.url])).not.toContain(suffix);
  });

  it('F33: it is asked about one spelling, and not at all about what other rules refuse', async () => {
    answer = (response) => response.end(`${OTHER}:3`);
    const { gate } = checking();
    await broken(gate, 'zebra lamp caf\u00e9 7');
    await broken(gate, 'zebra lamp cafe\u0301 7');
    expect(new Set(requests.map(({ url: path }) => path)).size).toBe(1);
    expect(requests).toHaveLength(2);
    for (const password of ['short', 'passwordpassword', 'latchkeylatchkey', 'x'.repeat(2_000)])
      await broken(gate, password);
    expect(requests).toHaveLength(2);
    expect(await broken(newPasswords().gate, LEAKED)).toEqual([]);
    expect(requests).toHaveLength(2);
  });

  describe.each(['accept', 'refuse'] as const)('onFault: %s', (onFault) => {
    const outcome = onFault === 'accept' ? [] : ['STORE_UNAVAILABLE'];

    it.each<[string, string, (response: ServerResponse) => void]>([
      ['answers 500', 'status', (response) => response.writeHead(500).end()],
      ['answers 429', 'status', (response) => response.writeHead(429).end()],
      ['answers 204', 'status', (response) => response.writeHead(204).end()],
      ['answers a login page of the network', 'malformed', (response) => response.end('<html>Log in</html>')],
      ['cuts its answer off in a line', 'malformed', (response) => response.end(`${OTHER}:3\r\n${suffix.slice(9)}`)],
      ['answers nothing', 'malformed', (response) => response.end('')],
      ['answers lines without counts', 'malformed', (response) => response.end(`${suffix}\r\n`)],
      ['answers counts that are none', 'malformed', (response) => response.end(`${suffix}:-1\r\n`)],
      ['answers megabytes', 'malformed', (response) => response.end(`${OTHER}:3\r\n`.repeat(50_000))],
      ['closes the connection', 'unreachable', (response) => response.destroy()],
      ['never answers', 'timeout', () => {}],
      ['never ends its answer', 'timeout', (response) => void response.write(`${OTHER}:3\r\n`)],
    ])('F33: a service that %s', async (_, reason, behave) => {
      const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => {});
      answer = behave;
      const { gate, heard } = checking({ onFault, timeout: reason === 'timeout' ? 50 : seconds(10) });
      expect(await broken(gate, FRESH)).toEqual(outcome);
      expect(heard).toEqual([{ type: 'breach_check.failed', at: expect.any(Number), reason }]);
      const logged = warn.mock.calls.flat().join('\n');
      warn.mockRestore();
      if (onFault === 'accept') expect(logged).toContain(`password.breachCheck failed (${reason})`);
      expect(logged).not.toContain('zebra');
    });

    it.each<[string, string, NonNullable<PasswordSettings['breachCheck']>['fetch']]>([
      [
        'throws',
        'unreachable',
        () => {
          throw new Error('no');
        },
      ],
      ['ignores the signal', 'timeout', () => new Promise(() => {})],
      ['returns no text', 'malformed', () => Promise.resolve({ status: 200, text: () => Promise.resolve(5 as never) })],
    ])('F33: a fetch function that %s', async (_, reason, fetch) => {
      const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => {});
      const { gate, heard } = checking({ onFault, fetch, timeout: 50 });
      expect(await broken(gate, FRESH)).toEqual(outcome);
      expect(heard).toEqual([expect.objectContaining({ type: 'breach_check.failed', reason })]);
      warn.mockRestore();
    });
  });
});
