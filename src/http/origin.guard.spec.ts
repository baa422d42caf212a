import { describe, expect, it } from '@jest/globals';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { AuthConfig } from '../config/auth-config.js';
import type { AuthOptions } from '../config/auth-options.js';
import { FrozenClock } from '../testing/frozen-clock.js';
import { OriginGuard } from './origin.guard.js';
import { SessionCookie } from './session-cookie.js';

function guardWith(options: Partial<AuthOptions> = {}): OriginGuard {
  const config = AuthConfig.from({
    secrets: ['x'.repeat(32)],
    trustedOrigins: ['https://app.example.com'],
    ...options,
  });
  return new OriginGuard(config, new SessionCookie(config, new FrozenClock()));
}

class Handlers {
  handle = () => {};
}

function passes(
  method: string,
  headers: Record<string, string>,
  { type = 'http', guard = guardWith() }: { type?: string; guard?: OriginGuard } = {},
): boolean {
  const request = { method, headers: { host: 'api.example.com', ...headers } };
  const args =
    type === 'graphql' ? [{}, {}, { req: request }, {}] : type === 'ws' ? [{ handshake: request }, {}] : [request, {}];
  const context = new ExecutionContextHost(args, Handlers, new Handlers().handle);
  context.setType(type);
  try {
    return guard.canActivate(context);
  } catch (error) {
    expect(error).toMatchObject({ code: 'CROSS_ORIGIN_REQUEST' });
    return false;
  }
}

describe('R29: OriginGuard', () => {
  it.each<[string, string, Record<string, string>, boolean]>([
    ['a safe method from anywhere', 'GET', { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }, true],
    ['HEAD from anywhere', 'HEAD', { origin: 'https://evil.example' }, true],
    ['no browser headers (curl)', 'POST', {}, true],
    [
      'same-origin by Fetch-Metadata',
      'POST',
      { 'sec-fetch-site': 'same-origin', origin: 'https://api.example.com' },
      true,
    ],
    ['typed by the user', 'POST', { 'sec-fetch-site': 'none' }, true],
    ['cross-site', 'POST', { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }, false],
    ['cross-site without Origin', 'POST', { 'sec-fetch-site': 'cross-site' }, false],
    ['a sister domain', 'POST', { 'sec-fetch-site': 'same-site', origin: 'https://other.example.com' }, false],
    [
      'cross-site that claims our host',
      'POST',
      { 'sec-fetch-site': 'cross-site', origin: 'https://api.example.com' },
      false,
    ],
    ['a value nobody knows', 'POST', { 'sec-fetch-site': 'same-origin, cross-site' }, false],
    ['a trusted origin, same-site', 'POST', { 'sec-fetch-site': 'same-site', origin: 'https://app.example.com' }, true],
    [
      'a trusted origin, cross-site',
      'POST',
      { 'sec-fetch-site': 'cross-site', origin: 'https://app.example.com' },
      true,
    ],
    ['own host in Origin, old browser', 'POST', { origin: 'https://api.example.com' }, true],
    [
      'own host in Origin in capitals of Host',
      'POST',
      { origin: 'https://api.example.com', host: 'API.example.com' },
      true,
    ],
    ['own host on another port', 'POST', { origin: 'https://api.example.com:8443' }, false],
    ['a foreign Origin, old browser', 'POST', { origin: 'https://evil.example' }, false],
    ['a host that begins like ours', 'POST', { origin: 'https://api.example.com.evil.example' }, false],
    ['Origin: null (sandboxed frame)', 'POST', { origin: 'null' }, false],
    ['two origins', 'POST', { origin: 'https://api.example.com, https://evil.example' }, false],
    ['binary in Origin', 'POST', { origin: '\xff\xfe' }, false],
    ['H2: U+00A0 before our origin', 'POST', { origin: '\u00a0https://api.example.com' }, false],
    ['H2: a soft hyphen in our host, which URL drops', 'POST', { origin: 'https://api\u00ad.example.com' }, false],
    ['H2: U+00A0 at our host', 'POST', { origin: 'https://api.example.com', host: 'api.example.com\u00a0' }, false],
    ['H2: same-origin after U+00A0', 'POST', { 'sec-fetch-site': '\u00a0same-origin' }, false],
    [
      'H2: a bearer token after U+00A0',
      'POST',
      { origin: 'https://x.example', authorization: 'Bearer\u00a0abc' },
      false,
    ],
    ['DELETE from a foreign page', 'DELETE', { origin: 'https://evil.example' }, false],
    ['a method in lower case', 'post', { origin: 'https://evil.example' }, false],
    ['a bearer token without our cookie', 'POST', { origin: 'https://spa.example', authorization: 'Bearer abc' }, true],
    [
      'a bearer token beside our cookie',
      'POST',
      { origin: 'https://spa.example', authorization: 'Bearer abc', cookie: '__Host-session=x' },
      false,
    ],
    ['a Basic header is no bearer token', 'POST', { origin: 'https://spa.example', authorization: 'Basic abc' }, false],
  ])('%s', (_, method, headers, expected) => {
    expect(passes(method, headers)).toBe(expected);
  });

  it('checks GraphQL by its HTTP method', () => {
    expect(passes('POST', { origin: 'https://evil.example' }, { type: 'graphql' })).toBe(false);
    expect(passes('GET', { origin: 'https://evil.example' }, { type: 'graphql' })).toBe(true);
  });

  it('F3: checks the Origin of a WebSocket handshake, although it is a GET', () => {
    expect(passes('GET', { origin: 'https://evil.example' }, { type: 'ws' })).toBe(false);
    expect(passes('GET', { origin: 'https://api.example.com' }, { type: 'ws' })).toBe(true);
  });

  it.each<[string, Record<string, string>, boolean]>([
    ['our own origin', { origin: 'https://api.example.com' }, true],
    ['our own host under http', { origin: 'http://api.example.com' }, false],
    [
      'our own host and port under http',
      { origin: 'http://api.example.com:8080', host: 'api.example.com:8080' },
      false,
    ],
    ['another of our hosts, as it is asked', { origin: 'https://two.example.com', host: 'two.example.com' }, true],
    ['our own origin behind a proxy that rewrites Host', { origin: 'https://api.example.com', host: 'app:3000' }, true],
    ['a foreign origin', { origin: 'https://evil.example' }, false],
    ['a page that claims our origin', { origin: 'https://api.example.com', 'sec-fetch-site': 'cross-site' }, false],
    ['a trusted origin', { origin: 'https://app.example.com' }, true],
  ])('H17: with baseUrl the scheme counts: %s', (_, headers, expected) => {
    const guard = guardWith({ baseUrl: 'https://api.example.com' });
    expect(passes('POST', headers, { guard })).toBe(expected);
  });

  it.each([
    ['capacitor://localhost', true],
    ['capacitor://localhost:80', false],
    ['capacitor://localhost/', false],
    ['CAPACITOR://localhost', false],
    ['ionic://localhost', false],
    ['null', false],
  ])('an app’s origin counts as it is written: %s', (origin, expected) => {
    const guard = guardWith({ trustedOrigins: ['capacitor://localhost'] });
    expect(passes('POST', { origin }, { guard })).toBe(expected);
    expect(passes('POST', { origin, 'sec-fetch-site': 'cross-site' }, { guard })).toBe(expected);
    expect(passes('POST', { origin })).toBe(false);
  });

  it('H17: without baseUrl the scheme cannot be known', () => {
    expect(passes('POST', { origin: 'http://api.example.com' })).toBe(true);
    expect(passes('POST', { origin: 'capacitor://api.example.com' })).toBe(false);
  });
});
