import { describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { HttpAdapterHost } from '@nestjs/core';
import { AuthConfig } from '../config/auth-config.js';
import { ClientIp } from './client-ip.js';

const SECRETS = ['a test secret that is long enough: 0123456789'];
const hostOf = (instance: unknown) => ({ httpAdapter: { getInstance: () => instance } }) as unknown as HttpAdapterHost;

function clientIp(peer: string | undefined, forwarded: string | string[] | undefined, trustedProxies: string[] = []) {
  const config = AuthConfig.from({ secrets: SECRETS, trustedProxies });
  const socket = peer === undefined ? {} : { remoteAddress: peer };
  return new ClientIp(config, hostOf(undefined)).of({ headers: { 'x-forwarded-for': forwarded }, socket });
}

describe('ClientIp', () => {
  // The matrix of the seed's test_client_ip.
  it.each<[string, string | undefined, string | string[] | undefined, string[], string | null]>([
    ['no proxies: the peer, X-Forwarded-For is ignored (R25)', '10.0.0.9', '203.0.113.5', [], '10.0.0.9'],
    ['one proxy', '10.0.0.1', '203.0.113.5', ['10.0.0.1'], '203.0.113.5'],
    ['two proxies', '10.0.0.2', '198.51.100.7, 10.0.0.1', ['10.0.0.1', '10.0.0.2'], '198.51.100.7'],
    ['all trusted: the leftmost', '10.0.0.1', '10.0.0.3, 10.0.0.2', ['10.0.0.0/8'], '10.0.0.3'],
    ['an empty header: the peer', '10.0.0.1', '', ['10.0.0.1'], '10.0.0.1'],
    ['no header: the peer', '10.0.0.1', undefined, ['10.0.0.1'], '10.0.0.1'],
    ['an untrusted peer with a header', '192.0.2.9', '203.0.113.5', ['10.0.0.1'], '192.0.2.9'],
    ['whitespace', '10.0.0.1', '  203.0.113.5 ', ['10.0.0.1'], '203.0.113.5'],
    [
      'what the client wrote itself is left of what counts',
      '10.0.0.1',
      '1.1.1.1, 203.0.113.5',
      ['10.0.0.1'],
      '203.0.113.5',
    ],
    ['a client that claims to be a proxy of ours', '10.0.0.1', '10.0.0.7, 203.0.113.5', ['10.0.0.0/8'], '203.0.113.5'],
    ['a header that came twice', '10.0.0.1', ['1.1.1.1', '203.0.113.5'], ['10.0.0.1'], '203.0.113.5'],
    ['a v4-mapped peer and hop', '::ffff:10.0.0.1', '::ffff:203.0.113.5', ['10.0.0.0/8'], '203.0.113.5'],
    ['IPv6', '2001:db8::1', '2001:db8:ffff::5, 2001:db8::2', ['2001:db8::/48'], '2001:db8:ffff::5'],
    ['a port', '10.0.0.1', '203.0.113.5:51234', ['10.0.0.1'], '203.0.113.5'],
    ['a hop that is no address: the proxy that wrote it', '10.0.0.1', '203.0.113.5, unknown', ['10.0.0.1'], '10.0.0.1'],
    ['H2: tabs', '10.0.0.1', '198.51.100.7,\t203.0.113.5\t', ['10.0.0.1'], '203.0.113.5'],
    ['H2: U+00A0 makes it no address', '10.0.0.1', '198.51.100.7, \u00a0203.0.113.5', ['10.0.0.1'], '10.0.0.1'],
    ['no peer', undefined, '203.0.113.5', ['10.0.0.1'], null],
  ])('%s', (_, peer, forwarded, proxies, expected) => expect(clientIp(peer, forwarded, proxies)).toBe(expected));

  it('R25: rotating X-Forwarded-For makes one client, not many', () => {
    const addresses = Array.from({ length: 50 }, (_, i) => clientIp('192.0.2.9', `203.0.113.${i}`, ['10.0.0.1']));
    expect(new Set(addresses)).toEqual(new Set(['192.0.2.9']));
    const behind = Array.from({ length: 50 }, (_, i) =>
      clientIp('10.0.0.1', `203.0.113.${i}, 192.0.2.9`, ['10.0.0.1']),
    );
    expect(new Set(behind)).toEqual(new Set(['192.0.2.9']));
  });

  it.each([
    ['trusts everybody', () => true, 1],
    ['trusts one hop', (_: string, hop: number) => hop < 1, 0],
    ['trusts nobody', () => false, 0],
  ])('an adapter that %s: %#', (_, trust, warnings) => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    const express = {
      enabled: () => true,
      get: (setting: string) => (setting === 'trust proxy fn' ? trust : undefined),
    };
    new ClientIp(AuthConfig.from({ secrets: SECRETS }), hostOf(express)).onApplicationBootstrap();
    expect(warn).toHaveBeenCalledTimes(warnings);
    warn.mockRestore();
  });

  it.each([
    [true, 1],
    [false, 0],
    ['10.0.0.1', 0],
  ])('warns at boot about a Fastify that believes everybody: trustProxy %j', async (trustProxy, warnings) => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    const fastify = new FastifyAdapter({ trustProxy }).getInstance();
    new ClientIp(AuthConfig.from({ secrets: SECRETS }), hostOf(fastify)).onApplicationBootstrap();
    expect(warn).toHaveBeenCalledTimes(warnings);
    warn.mockRestore();
    await fastify.close();
  });
});
