import { hash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { AuthError } from '../auth.errors.js';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import type { OidcRequest } from '../config/ephemeral-token-settings.js';
import type { ProviderDefinition } from '../config/oidc-settings.js';
import { sha256Hex } from '../crypto/hash.js';
import { randomToken } from '../crypto/random.js';
import { EphemeralTokenService } from '../ephemeral-token/ephemeral-token.service.js';
import { AuthEvents } from '../events/auth-events.js';
import type { CookieValue } from '../login/session-scheme.js';
import type { VerifiedIdentity } from './verified-identity.js';
import { OidcClient } from './oidc-client.js';
import { ProviderFault } from './provider-fault.js';

/** A browser that is on its way to a provider. */
export interface StartedOidc {
  /** Where it goes. */
  readonly url: string;
  /** For a cookie of this browser: in any other one the answer is nothing. */
  readonly browser: CookieValue;
}

/** An answer of a provider that belongs to a request of ours, and has been verified. */
export interface OidcAnswer {
  readonly provider: ProviderDefinition;
  readonly identity: VerifiedIdentity;
  readonly request: OidcRequest;
}

/** The exchange is bound to the browser itself. */
export const BY_BROWSER = 'browser';

/** What an exchange in the browser itself is bound to; the value of the cookie is not stored. */
export const exchangeOfBrowser = (browser: string): string => sha256Hex(`exchange ${browser}`);

const NAMES = ['state', 'code', 'iss', 'error'] as const;

/**
 * The way to a provider and back. What is asked for is one single-use token, the `state`: it holds the provider, what it
 * was begun for, the nonce and the verifier of PKCE, and is bound to a cookie of the browser (RFC 9700, sections 2.1 and
 * 4.7). It is spent before the answer is looked at, so an answer counts once, also if it is refused.
 */
@Injectable()
export class OidcRequests {
  private readonly ttl: number;

  constructor(
    private readonly client: OidcClient,
    private readonly tokens: EphemeralTokenService,
    private readonly clock: Clock,
    private readonly events: AuthEvents,
    private readonly config: AuthConfig,
  ) {
    this.ttl = config.ephemeralTokens.get('oidc_state')!.ttl;
  }

  /** @throws {AuthError} `PROVIDER_NOT_FOUND` if there is none of this name. */
  providerOf(id: string): ProviderDefinition {
    const found = this.config.flows.oidc!.providers.find((provider) => provider.id === id);
    if (found) return found;
    throw new AuthError('PROVIDER_NOT_FOUND', 'There is no such provider: see flows.oidc.providers.', {});
  }

  async begin(request: Omit<OidcRequest, 'issuer' | 'startedAt'>): Promise<StartedOidc> {
    const provider = this.providerOf(request.provider);
    const startedAt = this.clock.now();
    const [state, nonce, codeVerifier, value] = Array.from({ length: 4 }, () => randomToken().toString('base64url'));
    const bound = { state: state!, nonce: nonce!, codeVerifier: codeVerifier!, redirectUri: request.redirectUri };
    const isProofAsked = request.intent === 'step_up';
    // First: while the provider is away, nothing is stored.
    const url = await this.asked(provider, () => this.client.authorizationUrl(provider, bound, { isProofAsked }));
    await this.tokens.issue(
      'oidc_state',
      {
        providerId: numberOf(provider.id),
        nonce: nonce!,
        codeVerifier: codeVerifier!,
        challengeId: sha256Hex(value!),
        request: {
          ...request,
          issuer: provider.issuer,
          startedAt,
          ...(request.exchange === BY_BROWSER && { exchange: exchangeOfBrowser(value!) }),
        },
      },
      { token: state!, issuedAt: startedAt },
    );
    return { url, browser: { value: value!, expiresAt: startedAt + this.ttl } };
  }

  /**
   * Spends the state of an answer and verifies the rest of it.
   *
   * @throws {AuthError} `LOGIN_EXPIRED`, `PROVIDER_REFUSED`, `PROVIDER_FAILED`, `STORE_UNAVAILABLE`.
   */
  async finish(id: string, parameters: URLSearchParams, browsers: readonly string[]): Promise<OidcAnswer> {
    const provider = this.providerOf(id);
    const answer = onlyOurs(parameters);
    const state = answer?.get('state') ?? '';
    const spent = await this.spend(state, browsers);
    // One of another provider is spent too: somebody has mixed them up (RFC 9700, section 4.4).
    if (!answer || !spent?.request || !isOf(provider, spent.request)) throw expired();
    const { nonce, codeVerifier, request } = spent;
    const bound = { state, nonce, codeVerifier, redirectUri: request.redirectUri };
    const identity = await this.asked(provider, () => this.client.identity(provider, answer, bound));
    return { provider, identity, request };
  }

  private async spend(state: string, browsers: readonly string[]) {
    for (const browser of browsers) {
      const binding = sha256Hex(browser);
      // Or each other value of the cookie would be told as a refusal; and one of the application's own is its to spend.
      const held = await this.tokens.peek('oidc_state', state, binding);
      if (held?.request) return this.tokens.consume('oidc_state', state, binding);
    }
    this.events.emit({ type: 'token.refused', at: this.clock.now(), tokenType: 'oidc_state' });
    return null;
  }

  private async asked<T>(provider: ProviderDefinition, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof ProviderFault)) throw error;
      const message = `The provider '${provider.id}': ${error.message}`;
      if (error.kind === 'refused') throw new AuthError('PROVIDER_REFUSED', message, {});
      throw new AuthError('PROVIDER_FAILED', message, { provider: provider.id });
    }
  }
}

const isOf = ({ id, issuer }: ProviderDefinition, request: OidcRequest): boolean =>
  request.provider === id && request.issuer === issuer;

/** What has to be presented at the exchange, of a verifier that a client has made (as RFC 7636 has it). */
export const challengeOfVerifier = (verifier: string): string => hash('sha256', verifier, 'base64url');

export function expired(): AuthError {
  const message = 'The login at a provider is unknown, spent, expired, or was begun in another browser or session.';
  return new AuthError('LOGIN_EXPIRED', message, {});
}

/** Nothing else of an answer is looked at, and nothing twice; `null` if something is. */
function onlyOurs(parameters: URLSearchParams): URLSearchParams | null {
  const ours = new URLSearchParams();
  for (const name of NAMES) {
    const values = parameters.getAll(name);
    if (values.length > 1) return null;
    if (values[0] !== undefined) ours.set(name, values[0]);
  }
  return ours;
}

/** 31 bits: the column is an integer, as in the system whose table it is. The name itself is compared. */
const numberOf = (id: string): number => hash('sha256', id, 'buffer').readInt32BE(0) & 0x7fff_ffff;
