import { isLoopback, type ProviderDefinition } from '../config/oidc-settings.js';
import { ProviderFault } from './provider-fault.js';

/** What a provider may answer at most. */
const MAX_BYTES = 1_000_000;
/** How long each request may take. */
export const PROVIDER_TIMEOUT = 5_000;
/** Responses that have no body (Fetch, section 2.2.3). */
const WITHOUT_BODY: ReadonlySet<number> = new Set([101, 204, 205, 304]);

/** Whether a provider is on this machine, where plain http will do. */
export function isLocal({ issuer }: Pick<ProviderDefinition, 'issuer'>): boolean {
  const { protocol, hostname } = new URL(issuer);
  return protocol === 'http:' && isLoopback(hostname);
}

/**
 * `fetch` as this provider gets it: https (plain http to this machine only for one that is there itself), no redirect is
 * followed, and an answer is read up to a megabyte. Whoever has a say in an answer must not make us ask, or wait, or read
 * without end.
 */
export async function providerFetch(
  provider: Pick<ProviderDefinition, 'issuer'>,
  url: string,
  options: RequestInit,
): Promise<Response> {
  const { protocol, hostname } = new URL(url);
  if (protocol !== 'https:' && !(protocol === 'http:' && isLoopback(hostname) && isLocal(provider))) {
    throw new ProviderFault('failed', 'One of its addresses is not https.');
  }
  const signal = options.signal ?? AbortSignal.timeout(PROVIDER_TIMEOUT);
  const response = await fetch(url, { ...options, signal, redirect: 'manual' });
  const { status, headers } = response;
  const body = await read(response);
  return new Response(WITHOUT_BODY.has(status) ? null : body, { status, headers });
}

async function read(response: Response): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > MAX_BYTES) throw new ProviderFault('failed', 'It answered more than a megabyte.');
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}
