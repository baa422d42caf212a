import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../common/clock.js';
import { hours, minutes } from '../common/duration.js';
import type { ProviderDefinition } from '../config/oidc-settings.js';
import { ProviderFault } from './provider-fault.js';
import { providerFetch } from './provider-fetch.js';

const LIFETIME = hours(1);
/** Whoever names an unknown key makes us ask for it: at most this often. */
const COOLDOWN = minutes(1);

const Keys = z.object({ keys: z.array(z.record(z.string(), z.unknown())) });

interface Fetched {
  readonly keys: readonly Record<string, unknown>[];
  /** Epoch ms. */
  readonly at: number;
}

/** The public keys of providers (RFC 7517), each fetched once an hour, and once more for a key that is not among them. */
export class ProviderKeys {
  private readonly fetched = new Map<string, Promise<Fetched>>();

  constructor(private readonly clock: Clock) {}

  /** The key of this name; without a name the only one for signatures. `null` if there is none. */
  async find(
    provider: Pick<ProviderDefinition, 'issuer'>,
    uri: string,
    { kid, alg }: { readonly kid: string | undefined; readonly alg: string },
  ): Promise<KeyObject | null> {
    const known = await this.of(provider, uri, LIFETIME);
    const found = keyIn(known, kid, alg) ?? keyIn(await this.of(provider, uri, COOLDOWN), kid, alg);
    if (found === null) return null;
    try {
      return createPublicKey({ key: found as JsonWebKey, format: 'jwk' });
    } catch {
      return null;
    }
  }

  private async of(
    provider: Pick<ProviderDefinition, 'issuer'>,
    uri: string,
    lifetime: number,
  ): Promise<readonly Record<string, unknown>[]> {
    const before = this.fetched.get(uri);
    const fetched = await before?.catch(() => undefined);
    if (fetched && this.clock.now() - fetched.at < lifetime) return fetched.keys;
    // Unless another call has asked meanwhile.
    const current = this.fetched.get(uri);
    const asked = current !== undefined && current !== before ? current : this.ask(provider, uri);
    this.fetched.set(uri, asked);
    return (await asked).keys;
  }

  private async ask(provider: Pick<ProviderDefinition, 'issuer'>, uri: string): Promise<Fetched> {
    const response = await providerFetch(provider, uri, { headers: { accept: 'application/json' } });
    const parsed = response.status === 200 ? Keys.safeParse(await response.json().catch(() => null)) : null;
    if (!parsed?.success) throw new ProviderFault('failed', 'It did not answer with its keys.');
    return { keys: parsed.data.keys, at: this.clock.now() };
  }
}

function keyIn(keys: readonly Record<string, unknown>[], kid: string | undefined, alg: string) {
  const usable = keys.filter(
    (key) => key['kty'] !== 'oct' && (key['use'] ?? 'sig') === 'sig' && (key['alg'] ?? alg) === alg,
  );
  const named = kid === undefined ? usable : usable.filter((key) => key['kid'] === kid);
  return named.length === 1 ? named[0]! : null;
}
