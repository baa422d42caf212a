import type { IncomingMessage } from 'node:http';

/** Where browsers take a Secure cookie over plain http, but for Safari. */
const LOCAL = /^(?:localhost|[^:/]+\.localhost|127(?:\.\d+){3}|\[::1\])(?::\d+)?$/i;

/**
 * The host to which the client has sent this request over plain http, if it can be known and is not the client's own
 * machine; else `null`. The page's own origin tells it best. A proxy that ends TLS says so in `X-Forwarded-Proto`, or
 * leaves other traces, and then nothing is known. For a warning only: a client can write any of this.
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
