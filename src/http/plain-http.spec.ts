import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from '@jest/globals';
import { plainHttpHost } from './plain-http.js';

const host = 'app.example.com';

describe('H45: plainHttpHost', () => {
  it.each<[string, Record<string, string>, boolean, string | null]>([
    ['a page over http', { host, origin: `http://${host}` }, false, host],
    ['a page over https behind a proxy that says nothing', { host, origin: `https://${host}` }, false, null],
    ['no Origin, no proxy', { host }, false, host],
    ['no Origin, TLS of our own', { host }, true, null],
    ['a proxy that says https', { host, 'x-forwarded-proto': 'https' }, false, null],
    ['a proxy that says http', { host, 'x-forwarded-proto': 'http, https' }, false, host],
    ['a proxy that does not say it', { host, 'x-forwarded-for': '203.0.113.5' }, false, null],
    ['a page of another origin', { host, origin: 'http://other.example', via: '1.1 proxy' }, false, null],
    ['localhost', { host: 'localhost:3000', origin: 'http://localhost:3000' }, false, null],
    ['a name below localhost', { host: 'app.localhost:3000' }, false, null],
    ['127.0.0.1', { host: '127.0.0.1:3000' }, false, null],
    ['::1', { host: '[::1]:3000' }, false, null],
    ['a machine of the network', { host: '192.168.1.5:3000' }, false, '192.168.1.5:3000'],
    ['a name that begins like localhost', { host: 'localhost.example.com' }, false, 'localhost.example.com'],
    ['no host', {}, false, null],
  ])('%s', (_, headers, encrypted, expected) => {
    expect(plainHttpHost({ headers, socket: { encrypted } } as unknown as IncomingMessage)).toBe(expected);
  });

  it('no request', () => expect(plainHttpHost(undefined)).toBeNull());
});
