import fc from 'fast-check';

const COOKIE = '__Host-session';
const OWN_HOST = 'api.example.com';
/** Of `trustedOrigins`. */
export const TRUSTED_ORIGIN = 'https://app.example.com';

const oneOf = (...parts: string[]) => fc.constantFrom(...parts);
const joined = (...parts: fc.Arbitrary<string>[]) => fc.tuple(...parts).map((made) => made.join(''));

/** Any bytes that HTTP allows in a field value: what a hostile client can make reach us. */
const fieldValue = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: fc.integer({ min: 0x20, max: 0x7e }) },
      fc.integer({ min: 0x80, max: 0xff }),
      fc.constant(9),
    ),
    { maxLength: 200 },
  )
  .map((bytes) => String.fromCharCode(...bytes));

/** The token, cut, padded or changed at one place; now and then as it is. */
const nearToken = (token: string) =>
  fc
    .tuple(
      fc.nat(token.length),
      oneOf('', '=', ' ', '%00', '"', ';', ',', '\u00ff', '\u00a0', '.', '/', 'A'),
      fc.nat({ max: 2 }),
    )
    .map(([at, extra, cut]) => token.slice(0, at) + extra + token.slice(at + cut));

/** Lines that look like our credentials and are not: prefixes, separators, doubled names, cut and padded tokens. */
function credentialLine(token: string): fc.Arbitrary<string> {
  const name = oneOf(COOKIE, 'session', `${COOKIE} `, '__host-session', '', `${COOKIE}${COOKIE}`, `\u00a0${COOKIE}`);
  const pair = joined(name, oneOf('=', '==', ' = ', ''), nearToken(token));
  const cookies = fc.array(pair, { minLength: 1, maxLength: 4 }).map((pairs) => `Cookie: ${pairs.join('; ')}`);
  const scheme = oneOf('Bearer', 'bearer', 'BEARER', 'Bearer Bearer', 'Basic', 'Digest', '', 'Bearer,', 'Bearer\t');
  const authorization = joined(fc.constant('Authorization: '), scheme, oneOf(' ', '  ', '', '\t'), nearToken(token));
  const raw = joined(
    oneOf('Cookie: ', 'Authorization: ', `Cookie: ${COOKIE}=`, 'Authorization: Bearer ', `Cookie: a=b; ${COOKIE}=`),
    fieldValue,
  );
  return fc.oneof(raw, cookies, authorization);
}

/** Lines of every other header that decides something, near and far from what is right. */
function contextLine(): fc.Arbitrary<string> {
  const odd = oneOf('', ' ', '\t', '\u00a0', '\u00ad', ',', '"', '\0', '\x7f', ', null', '.', ':80', '/', '@', '%00');
  const around = (value: fc.Arbitrary<string>) =>
    fc.oneof({ weight: 2, arbitrary: value }, joined(odd, value, odd), fieldValue);
  const origin = oneOf(`https://${OWN_HOST}`, `http://${OWN_HOST}`, TRUSTED_ORIGIN, 'https://evil.example', 'null');
  const site = oneOf('same-origin', 'same-site', 'cross-site', 'none', 'Same-Origin', 'same-origin, cross-site');
  const address = oneOf('203.0.113.5', '127.0.0.1', '::1', '::ffff:127.0.0.1', '[2001:db8::1]:80', '0x7f.1', 'unknown');
  const hops = fc.array(around(address), { maxLength: 5 }).map((list) => list.join(','));
  return fc.oneof(
    joined(oneOf('Origin: ', 'ORIGIN:'), around(origin)),
    joined(oneOf('Sec-Fetch-Site: ', 'sec-fetch-site:'), around(site)),
    joined(oneOf('Sec-Fetch-Mode: ', 'Sec-Fetch-Dest: '), around(oneOf('navigate', 'websocket', 'document'))),
    joined(fc.constant('Host: '), around(oneOf(OWN_HOST, OWN_HOST.toUpperCase(), 'evil.example', 'app.example.com'))),
    joined(oneOf('X-Forwarded-For: ', 'x-forwarded-for:'), hops),
    joined(fc.constant('Connection: '), around(oneOf('close', 'keep-alive', 'Upgrade', 'upgrade, cookie', 'cookie'))),
    joined(fc.constant('Upgrade: '), around(oneOf('websocket', 'h2c', 'TLS/1.0', 'websocket, h2c'))),
    joined(
      oneOf('__proto__', 'constructor', 'X-Forwarded-Host', 'Forwarded', 'X-HTTP-Method-Override'),
      fc.constant(': '),
      fieldValue,
    ),
  );
}

const linesOf = (line: fc.Arbitrary<string>, maxLength: number) =>
  fc
    .array(line, { minLength: 1, maxLength })
    .map((lines) => Buffer.from(lines.map((each) => `${each}\r\n`).join(''), 'latin1'));

/** Up to three `Cookie` and `Authorization` headers. */
export const hostileCredentials = (token: string): fc.Arbitrary<Buffer> => linesOf(credentialLine(token), 3);

/** Up to five headers of all that we read, often with the real cookie or token among them. */
export const hostileHeaders = (token: string): fc.Arbitrary<Buffer> => {
  const valid = oneOf(`Cookie: ${COOKIE}=${token}`, `Authorization: Bearer ${token}`);
  const line = fc.oneof(
    { weight: 3, arbitrary: contextLine() },
    { weight: 1, arbitrary: credentialLine(token) },
    { weight: 1, arbitrary: valid },
  );
  return linesOf(line, 5);
};

/** What was sent, read by the letter of the RFCs and by nothing of ours: the judge of an answer. */
export class SentHeaders {
  private readonly lines: readonly (readonly [name: string, value: string])[];

  constructor(headers: Buffer) {
    this.lines = headers
      .toString('latin1')
      .split('\r\n')
      .filter((line) => line.includes(':'))
      .map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), trimmed(line.slice(line.indexOf(':') + 1))]);
  }

  all(name: string): string[] {
    return this.lines.filter(([sent]) => sent === name).map(([, value]) => value);
  }

  /** Values of cookies with exactly our name. */
  cookies(): string[] {
    return this.all('cookie')
      .flatMap((header) => header.split(';'))
      .filter((pair) => pair.includes('=') && trimmed(pair.slice(0, pair.indexOf('='))) === COOKIE)
      .map((pair) => trimmed(pair.slice(pair.indexOf('=') + 1)));
  }

  bearers(): string[] {
    return this.all('authorization').flatMap((value) => /^bearer +([\w\-.~+/]+=*)$/i.exec(value)?.[1] ?? []);
  }

  /** Whether this token is presented in one of the two ways: without this nobody may be let in. */
  presents(token: string): boolean {
    const cookies = this.cookies();
    return cookies.length <= 1 && [...cookies, ...this.bearers()].includes(token);
  }

  /** Whether a page of ours, or no browser at all, may have sent it: without this nothing may be changed. */
  mayChange(): boolean {
    const [site, origin] = [this.all('sec-fetch-site').join(', '), this.all('origin').join(', ')];
    const [hasSite, hasOrigin] = [this.all('sec-fetch-site').length > 0, this.all('origin').length > 0];
    if (site === 'same-origin' || site === 'none' || origin === TRUSTED_ORIGIN) return true;
    if (this.bearers().length > 0 && this.cookies().length === 0) return true;
    if (hasSite) return false;
    return !hasOrigin || this.all('host').some((host) => /^https?:\/\/(.*)$/.exec(origin)?.[1] === host.toLowerCase());
  }
}

const trimmed = (text: string) => text.replaceAll(/^[ \t]+|[ \t]+$/g, '');
