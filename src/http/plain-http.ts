import type { IncomingMessage } from 'node:http';

/** Hosts for which browsers accept a Secure cookie over plain http (Safari does not). */
const LOCAL = /^(?:localhost|[^:/]+\.localhost|127(?:\.\d+){3}|\[::1\])(?::\d+)?$/i;

/**
 * The host to which the client sent this request over plain http, if that can be known and it is not the client's own
 * machine; otherwise `null`. The page's own origin is the best evidence. A proxy that terminates TLS says so in
 * `X-Forwarded-Proto`, or leaves other traces, and then nothing is known. For a warning only: a client can write any of
 * this.
 */
export function plainHttpHost(request: IncomingMessage | undefined): string | null {
  if (!request) return null;
  const { host, origin, forwarded, via } = request.headers;
  if (host === undefined || LOCAL.test(host)) return null;
  if (origin === `http://${host}`) return host;
  if (origin === `https://${host}`) return null;
  const forwardedProto = String(request.headers['x-forwarded-proto'] ?? '')
    .split(',')[0]!
    .toLowerCase();
  if (forwardedProto !== '') return forwardedProto === 'http' ? host : null;
  const isProxied = (forwarded ?? via ?? request.headers['x-forwarded-for']) !== undefined;
  const isEncrypted = (request.socket as { encrypted?: boolean } | undefined)?.encrypted === true;
  return isProxied || isEncrypted ? null : host;
}
