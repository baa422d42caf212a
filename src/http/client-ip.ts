import { Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { Server } from 'node:net';
import { canonicalAddress, isWithin } from '../common/ip-address.js';
import { AuthConfig } from '../config/auth-config.js';
import { headerOf, type AuthRequest } from './auth-request.js';

/** Addresses reserved for documentation (RFC 5737), so never a proxy's. */
const STRANGERS = ['203.0.113.1', '198.51.100.1'];

interface ExpressLike {
  get?(setting: string): unknown;
}

/**
 * The client's address: that of the peer, unless the peer is one of `trustedProxies`. Then `X-Forwarded-For` is read
 * from right to left, since each proxy appends the address it received the request from, up to the first that is not
 * one of our proxies. Everything left of it was written by the client and is ignored.
 *
 * It reads the socket, not `request.ip`: that depends on the adapter's `trust proxy`, and is whatever the client claims
 * once that trusts everyone.
 */
@Injectable()
export class ClientIp implements OnApplicationBootstrap {
  private readonly logger = new Logger('Auth');
  private isOnUnixSocket = false;

  constructor(
    private readonly config: AuthConfig,
    private readonly adapterHost: HttpAdapterHost,
  ) {}

  /**
   * The client's address in its canonical spelling, v4-mapped ones as IPv4; `null` if there is none, as on a Unix
   * socket unless `trustedProxies` has `'unix'`. Pass the `null` on to rate limits: they count such clients too.
   */
  of(request: AuthRequest): string | null {
    const peer = canonicalAddress(request.socket?.remoteAddress);
    if (peer === null ? !this.isTrustedUnixSocket() : !this.isProxy(peer)) return peer;
    const forwarded = headerOf(request, 'x-forwarded-for') ?? '';
    let nearest = peer;
    for (const hop of forwarded.split(',').toReversed()) {
      const address = canonicalAddress(hop);
      // Only one of our proxies can have written anything but an address ("unknown"), and it knows no more either.
      if (address === null) return nearest;
      nearest = address;
      if (!this.isProxy(address)) return address;
    }
    return nearest;
  }

  /** From where and with what the request came, as events and the list of sessions show it. */
  clientOf(request: AuthRequest): { readonly ip: string | null; readonly userAgent: string | undefined } {
    return { ip: this.of(request), userAgent: headerOf(request, 'user-agent') };
  }

  /** Warns of a setting that lets clients choose `request.ip`, which the application's own limits and logs may read. */
  onApplicationBootstrap(): void {
    if (!trustsEverybody(this.adapterHost.httpAdapter?.getInstance<ExpressLike | undefined>())) return;
    this.logger.warn(
      "The HTTP adapter believes X-Forwarded-For from anybody ('trust proxy' is true), so request.ip is whatever the " +
        'client writes. Name your proxies instead. AuthModule uses its own trustedProxies and is not affected.',
    );
  }

  /**
   * Not every peer without an address is on our Unix socket: a closed TCP connection has none either, and its
   * `X-Forwarded-For` was written by the client.
   */
  private isTrustedUnixSocket(): boolean {
    if (!this.config.trustsUnixSocket) return false;
    const server = this.adapterHost.httpAdapter?.getHttpServer() as Server | undefined;
    // A pipe's address is its path, or missing if it was inherited as a file descriptor.
    this.isOnUnixSocket ||=
      server?.listening === true && (server.address() === null || typeof server.address() === 'string');
    return this.isOnUnixSocket;
  }

  private isProxy(address: string): boolean {
    return isWithin(address, this.config.trustedProxies);
  }
}

/** Express compiles its setting into a function of (address, hop); Fastify keeps its options under a symbol. */
function trustsEverybody(instance: ExpressLike | undefined): boolean {
  for (const key of Object.getOwnPropertySymbols(instance ?? {})) {
    if (key.description !== 'fastify.options') continue;
    return (instance as Record<symbol, { trustProxy?: unknown } | undefined>)[key]?.trustProxy === true;
  }
  if (typeof instance?.get !== 'function' || !('enabled' in instance)) return false;
  const trust = instance.get('trust proxy fn');
  if (typeof trust !== 'function') return false;
  return STRANGERS.every((address, hop) => (trust as (address: string, hop: number) => unknown)(address, hop + 9));
}
