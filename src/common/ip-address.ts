import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { trimOptionalWhitespace } from './optional-whitespace.js';

/** The prefix of an IPv6 address that one customer usually owns; they can freely choose the bits below it. */
const IPV6_SUBJECT_PREFIX = 64;
const IPV6_SITE_PREFIX = 48;
const IPV6_PROVIDER_PREFIX = 32;

/** A parsed network, as `trustedProxies` lists them. */
export type Network = readonly [address: ipaddr.IPv4 | ipaddr.IPv6, prefix: number];

/**
 * The canonical spelling of an address, or `null` if it is not one: `::ffff:a.b.c.d` becomes `a.b.c.d`, a zone is
 * dropped, and so are the brackets and the port that some proxies write. Octal, hexadecimal and short IPv4 spellings
 * are not accepted.
 */
export function canonicalAddress(text: string | null | undefined): string | null {
  return parseAddress(text)?.toString() ?? null;
}

/**
 * The subject of an address in a rate limit: an IPv4 address itself, an IPv6 address by its /64, since a client that
 * has one of its addresses has all 2^64. `null` for anything that is not an address. Idempotent.
 */
export function subjectOfAddress(text: string | null | undefined): string | null {
  const address = parseAddress(text?.replace(/\/64$/, ''));
  if (!address) return null;
  if (address instanceof ipaddr.IPv4) return address.toString();
  return networkOf(address, IPV6_SUBJECT_PREFIX);
}

/**
 * The /48 of an IPv6 address, which a site or a tunnel usually owns: 65,536 times the /64 of one client. `null` for
 * IPv4, where a client has single addresses, and for anything that is not an address.
 */
export function siteOfAddress(text: string | null | undefined): string | null {
  const address = parseAddress(text);
  return address instanceof ipaddr.IPv6 ? networkOf(address, IPV6_SITE_PREFIX) : null;
}

/** The address with its /48 in place of an IPv6 address: for a limit that is for whole sites. `null` for none. */
export function networkSubjectOf(text: string | null | undefined): string | null {
  return siteOfAddress(text) ?? canonicalAddress(text);
}

/**
 * The networks of an address from wide to narrow, for sharing a scarce resource: for IPv6 those of a provider, a site
 * and a client, for IPv4 the /24 and the address. All clients without an address are one source.
 */
export function sourceOfAddress(text: string | null | undefined): readonly string[] {
  const address = parseAddress(text);
  if (!address) return ['unknown'];
  if (address instanceof ipaddr.IPv4) {
    return [ipaddr.IPv4.networkAddressFromCIDR(`${address.toString()}/24`).toString(), address.toString()];
  }
  return [IPV6_PROVIDER_PREFIX, IPV6_SITE_PREFIX, IPV6_SUBJECT_PREFIX].map((prefix) => networkOf(address, prefix));
}

/**
 * The network of `10.0.0.0/8`, `2001:db8::/32` or a single address; otherwise the mistake and its remedy. v4-mapped
 * spellings are refused: proxy-addr took `::ffff:10.0.0.0/8` for an 8-bit prefix of IPv6, which is the whole internet
 * (CVE-2026-90711).
 */
export function parseNetwork(text: unknown): Network | string {
  if (typeof text !== 'string') return "must be a string such as '10.0.0.0/8' or '10.0.0.1'";
  const [address = '', prefix, ...rest] = text.trim().split('/');
  if (isIP(address) === 0 || address.includes('%') || rest.length > 0) {
    return "must be an address or a network such as '10.0.0.1', '10.0.0.0/8' or '2001:db8::/32'";
  }
  if (isIP(address) === 6 && (ipaddr.parse(address) as ipaddr.IPv6).isIPv4MappedAddress()) {
    return "must be written as IPv4, '10.0.0.0/8': IPv4 peers are matched as IPv4, also on a dual-stack socket";
  }
  const bits = isIP(address) === 4 ? 32 : 128;
  const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
  if (!(length <= bits)) return `must have a prefix length from 1 to ${bits}`;
  if (length === 0) return 'trusts the whole internet, so anybody can claim any address: list your proxies';
  return [ipaddr.parse(address), length];
}

/** Whether the address (in any spelling) is in one of the networks. */
export function isWithin(text: string, networks: readonly Network[]): boolean {
  const address = parseAddress(text);
  return address !== null && networks.some(([of, bits]) => address.kind() === of.kind() && address.match(of, bits));
}

function networkOf(address: ipaddr.IPv6, prefix: number): string {
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${address.toString()}/${prefix}`).toString()}/${prefix}`;
}

function parseAddress(text: string | null | undefined): ipaddr.IPv4 | ipaddr.IPv6 | null {
  if (typeof text !== 'string' || text.length > 64) return null;
  const bare = withoutPort(trimOptionalWhitespace(text)).replace(/%.*$/s, '');
  if (isIP(bare) === 0) return null;
  const address = ipaddr.parse(bare);
  return address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() ? address.toIPv4Address() : address;
}

/** `[2001:db8::1]:443`, `[2001:db8::1]` and `192.0.2.1:443`; an IPv6 address without brackets has no port. */
function withoutPort(text: string): string {
  return /^\[(.+)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text;
}
