import { createHash } from 'node:crypto';
import type { Clock } from '../common/clock.js';
import { days, hours, minutes } from '../common/duration.js';
import {
  isOAuth2,
  type OAuth2Provider,
  type OidcClaims,
  type OidcProvider,
  type ProviderDefinition,
} from '../config/oidc-settings.js';
import { checkedEmail } from '../user/email-address.js';
import { ProviderFault } from './provider-fault.js';
import { isLocal, PROVIDER_TIMEOUT, providerFetch } from './provider-fetch.js';
import type { VerifiedIdentity } from './verified-identity.js';

/** What binds an answer of a provider to the request before it. */
export interface AuthorizationRequest {
  readonly redirectUri: string;
  readonly state: string;
  readonly nonce: string;
  readonly codeVerifier: string;
}

type Metadata = Readonly<Record<string, unknown>> & { readonly issuer: string };

/** What is used of `openid-client`; with its types every application would have to install it. */
interface OpenIdClient {
  readonly clockSkew: symbol;
  readonly customFetch: symbol;
  readonly Configuration: new (
    server: Metadata,
    id: string,
    metadata: object,
    authentication: unknown,
  ) => Configuration;
  readonly discovery: (
    issuer: URL,
    clientId: string,
    metadata: object,
    authentication: unknown,
    options: object,
  ) => Promise<Configuration>;
  ClientSecretBasic(secret: string): unknown;
  ClientSecretPost(secret: string): unknown;
  None(): unknown;
  readonly allowInsecureRequests: (configuration: Configuration) => void;
  enableNonRepudiationChecks(configuration: Configuration): void;
  setJwksCache(configuration: Configuration, cache: object): void;
  getJwksCache(configuration: Configuration): object | undefined;
  calculatePKCECodeChallenge(verifier: string): Promise<string>;
  buildAuthorizationUrl(configuration: Configuration, parameters: Record<string, string>): URL;
  authorizationCodeGrant(
    configuration: Configuration,
    callback: URL,
    checks: object,
  ): Promise<{ readonly access_token: string; claims(): OidcClaims | undefined }>;
  fetchUserInfo(configuration: Configuration, accessToken: string, subject: string): Promise<OidcClaims>;
}
interface Configuration {
  timeout: number;
  serverMetadata(): Metadata;
}

/** The metadata of a provider (OpenID Connect Discovery 1.0, section 4). */
interface Document {
  readonly text: string;
  readonly status: number;
  /** Epoch ms. */
  readonly at: number;
}

/** What is known of it, and what is being asked. */
interface KnownDocument {
  readonly found?: Document | undefined;
  readonly asking?: Promise<Document>;
}

const JSON_TYPE = { 'content-type': 'application/json' };

const DISCOVERY_LIFETIME = hours(1);
/** With any `max_age` a provider has to say `auth_time`; this one makes it ask nobody again. In seconds. */
const ANY_AGE = days(365) / 1000;
/** How far a provider's clock may be ahead. */
const AHEAD = minutes(1);
const MAX_ISSUER = 255;
/** OpenID Connect Core 1.0, section 2. */
const SUBJECT = /^[\x20-\x7e]{1,255}$/;
/** RFC 6749, section 4.1.2.1, and OpenID Connect Core 1.0, section 3.1.2.6: what may stand in our log. */
const ERROR = /^[a-z_]{1,40}$/;

/**
 * Asks providers, and verifies what they answer: the signature of an ID token and its algorithm, issuer, audience,
 * nonce and lifetime (OpenID Connect Core 1.0, section 3.1.3.7), the issuer of the answer (RFC 9207), and that the code
 * belongs to our request (RFC 7636). It stores nothing but what it has discovered. Whatever is wrong is a
 * `ProviderFault`.
 */
export class OidcClient {
  private readonly documents = new Map<ProviderDefinition, KnownDocument>();
  private readonly keys = new WeakMap<ProviderDefinition, object>();

  private constructor(
    private readonly library: OpenIdClient,
    private readonly clock: Clock,
  ) {}

  /** `null` if the optional package is not installed. What else keeps it from being loaded is thrown. */
  static async load(clock: Clock, library?: () => Promise<unknown>): Promise<OidcClient | null> {
    try {
      // Within `try`, and in no function of its own: only so does a bundler that cannot find it go on.
      const found: unknown = library ? await library() : await import('openid-client');
      return new OidcClient(found as OpenIdClient, clock);
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  /**
   * Where the browser goes. With `isProofAsked` the user has to prove there again who they are; else the provider
   * has to say when they have (OpenID Connect Core 1.0, section 3.1.2.1, `max_age`).
   */
  async authorizationUrl(
    provider: ProviderDefinition,
    { redirectUri, state, nonce, codeVerifier }: AuthorizationRequest,
    { isProofAsked = false }: { isProofAsked?: boolean } = {},
  ): Promise<string> {
    return this.judged(async () => {
      const configuration = await this.configurationOf(provider);
      const isOpenId = !isOAuth2(provider);
      const scope = provider.scope ?? (isOpenId ? 'openid email profile' : undefined);
      const url = this.library.buildAuthorizationUrl(configuration, {
        ...provider.authorizationParameters,
        redirect_uri: redirectUri,
        ...(scope !== undefined && { scope }),
        state,
        code_challenge: await this.library.calculatePKCECodeChallenge(codeVerifier),
        code_challenge_method: 'S256',
        ...(isOpenId && { nonce }),
        ...(isOpenId && provider.responseMode === 'form_post' && { response_mode: 'form_post' }),
        ...(isOpenId && { max_age: String(ANY_AGE) }),
        ...(isProofAsked && { max_age: '0', prompt: 'login' }),
      });
      return url.href;
    });
  }

  /** What the provider says of itself (OpenID Connect Discovery 1.0, section 3), for which our secret is not needed. */
  async metadata(provider: OidcProvider): Promise<Metadata> {
    return this.judged(async () => (await this.discover(provider, {}, this.library.None())).serverMetadata());
  }

  /** Who has logged in, by the parameters with which the browser came back. */
  async identity(
    provider: ProviderDefinition,
    parameters: URLSearchParams,
    request: AuthorizationRequest,
  ): Promise<VerifiedIdentity> {
    return this.judged(() =>
      isOAuth2(provider) ? this.profileOf(provider, parameters, request) : this.claimsOf(provider, parameters, request),
    );
  }

  private async claimsOf(provider: OidcProvider, parameters: URLSearchParams, request: AuthorizationRequest) {
    const configuration = await this.configurationOf(provider);
    // Without it the library verifies no signature of what comes over TLS.
    this.library.enableNonRepudiationChecks(configuration);
    this.library.setJwksCache(configuration, this.keys.get(provider) ?? {});
    const tokens = await this.library.authorizationCodeGrant(configuration, callbackOf(parameters, request), {
      expectedState: request.state,
      expectedNonce: request.nonce,
      pkceCodeVerifier: request.codeVerifier,
      idTokenExpected: true,
    });
    const keys = this.library.getJwksCache(configuration);
    if (keys) this.keys.set(provider, keys);
    const claims = tokens.claims()!;
    checkGivenTo(provider, claims, tokens.access_token);
    const subject = String(claims['sub']);
    const asked = 'email' in claims || configuration.serverMetadata()['userinfo_endpoint'] === undefined;
    const info = asked ? claims : await this.library.fetchUserInfo(configuration, tokens.access_token, subject);
    return identityOf(provider, claims, info, this.clock.now());
  }

  private async profileOf(provider: OAuth2Provider, parameters: URLSearchParams, request: AuthorizationRequest) {
    const configuration = await this.configurationOf(provider);
    const tokens = await this.library.authorizationCodeGrant(configuration, callbackOf(parameters, request), {
      expectedState: request.state,
      pkceCodeVerifier: request.codeVerifier,
    });
    const profile = await provider.profile((url) => getJson(provider, url, tokens.access_token));
    const { subject, email, emailVerified, name } = profile;
    return checkedIdentity({
      provider: provider.id,
      issuer: provider.issuer,
      subject,
      ...mailboxOf(email, emailVerified),
      ...(typeof name === 'string' && { name }),
      aal: 1,
    });
  }

  /** Made anew each time: the secret may be, and so is the clock. */
  private async configurationOf(provider: ProviderDefinition): Promise<Configuration> {
    const { library } = this;
    const { algorithms = ['RS256'] } = isOAuth2(provider) ? {} : provider;
    const metadata = {
      id_token_signed_response_alg: algorithms,
      // The library reads the time of day itself: this is how far the injected clock is from it, in seconds.
      [library.clockSkew]: Math.round((this.clock.now() - Date.now()) / 1000),
    };
    const authentication = await this.authenticationOf(provider);
    const configuration = isOAuth2(provider)
      ? new library.Configuration(metadataOf(provider), provider.clientId, metadata, authentication)
      : await this.discover(provider, metadata, authentication);
    configuration.timeout = PROVIDER_TIMEOUT / 1000;
    const fetchOfProvider = (url: string, options: RequestInit) => providerFetch(provider, url, options);
    Reflect.set(configuration, library.customFetch, fetchOfProvider);
    if (isLocal(provider)) library.allowInsecureRequests(configuration);
    return configuration;
  }

  private async authenticationOf({ clientSecret, clientAuthentication }: ProviderDefinition): Promise<unknown> {
    const secret = typeof clientSecret === 'function' ? await clientSecret() : clientSecret;
    if (secret === undefined) return this.library.None();
    return clientAuthentication === 'post'
      ? this.library.ClientSecretPost(secret)
      : this.library.ClientSecretBasic(secret);
  }

  /** The library reads the document each time; it is fetched once an hour. */
  private async discover(provider: OidcProvider, metadata: object, authentication: unknown): Promise<Configuration> {
    const { discovery, customFetch, allowInsecureRequests } = this.library;
    const kept = await this.document(provider);
    try {
      return await discovery(new URL(provider.issuer), provider.clientId, metadata, authentication, {
        [customFetch]: () => Promise.resolve(new Response(kept.text, { status: kept.status, headers: JSON_TYPE })),
        ...(isLocal(provider) && { execute: [allowInsecureRequests] }),
      });
    } catch (error) {
      // It is none, so the next login asks for another one.
      if (this.documents.get(provider)?.found === kept) this.documents.delete(provider);
      throw error;
    }
  }

  private async document(provider: OidcProvider): Promise<Document> {
    const { found, asking } = this.documents.get(provider) ?? {};
    if (found && this.clock.now() - found.at < DISCOVERY_LIFETIME) return found;
    const asked = asking ?? this.ask(provider);
    this.documents.set(provider, { found, asking: asked });
    try {
      const document = await asked;
      this.documents.set(provider, { found: document });
      return document;
    } catch (error) {
      this.documents.set(provider, { found });
      // What was true an hour ago is better than nothing.
      if (found) return found;
      throw error;
    }
  }

  private async ask(provider: OidcProvider): Promise<Document> {
    const url = `${provider.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
    const response = await providerFetch(provider, url, { headers: { accept: 'application/json' } });
    const { status } = response;
    if (status !== 200) throw new ProviderFault('failed', `It answered ${status} instead of its metadata.`);
    return { text: await response.text(), status, at: this.clock.now() };
  }

  private async judged<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw error instanceof ProviderFault ? error : faultOf(error);
    }
  }
}

const metadataOf = ({ issuer, authorizationEndpoint, tokenEndpoint }: OAuth2Provider): Metadata => ({
  issuer,
  authorization_endpoint: authorizationEndpoint,
  token_endpoint: tokenEndpoint,
});

function callbackOf(parameters: URLSearchParams, { redirectUri }: AuthorizationRequest): URL {
  const url = new URL(redirectUri);
  url.search = parameters.toString();
  return url;
}

/**
 * That the tokens were given to this client, and belong together, where the ID token says so: what the library leaves out
 * in the code flow (OpenID Connect Core 1.0, sections 3.1.3.6 to 3.1.3.8).
 */
function checkGivenTo({ clientId }: OidcProvider, claims: OidcClaims, accessToken: string): void {
  const { azp, at_hash: hash } = claims;
  if (azp !== undefined && azp !== clientId) {
    throw new ProviderFault('failed', 'Its ID token was given to another client (azp).');
  }
  // Of the hash that the signature uses: which one that was is not told here.
  const isOf = (algorithm: string) => {
    const digest = createHash(algorithm).update(accessToken).digest();
    return digest.subarray(0, digest.length / 2).toString('base64url') === hash;
  };
  if (hash !== undefined && !['sha256', 'sha384', 'sha512'].some(isOf)) {
    throw new ProviderFault('failed', 'Its access token is not that of its ID token (at_hash).');
  }
}

function identityOf(provider: OidcProvider, claims: OidcClaims, info: OidcClaims, now: number): VerifiedIdentity {
  const { iss, sub, auth_time: authTime, acr, amr, sid } = claims;
  const name = claims['name'] ?? info['name'];
  return checkedIdentity({
    provider: provider.id,
    issuer: String(iss),
    subject: sub,
    ...mailboxOf(info['email'], info['email_verified']),
    ...(typeof name === 'string' && { name }),
    // One in the future says nothing.
    ...(typeof authTime === 'number' && authTime * 1000 <= now + AHEAD && { authTime: authTime * 1000 }),
    ...(typeof acr === 'string' && { acr }),
    ...(Array.isArray(amr) && { amr: amr.filter((method) => typeof method === 'string') }),
    ...(typeof sid === 'string' && { sid }),
    aal: provider.assurance?.(claims) === 2 ? 2 : 1,
  });
}

/** Only `true` says that it is verified: not `"true"`, and not 1 (F62). */
function mailboxOf(email: unknown, emailVerified: unknown): Pick<VerifiedIdentity, 'email' | 'emailVerified'> {
  const mailbox = typeof email === 'string' ? checkedEmail(email) : null;
  return { email: mailbox, emailVerified: mailbox !== null && emailVerified === true };
}

function checkedIdentity(
  identity: Omit<VerifiedIdentity, 'subject'> & { readonly subject: unknown },
): VerifiedIdentity {
  const { subject, issuer } = identity;
  if (typeof subject !== 'string' || !SUBJECT.test(subject) || issuer.length > MAX_ISSUER) {
    throw new ProviderFault('failed', 'It does not say who has logged in.');
  }
  return { ...identity, subject };
}

async function getJson(provider: OAuth2Provider, url: string, accessToken: string): Promise<unknown> {
  const headers = {
    accept: 'application/json',
    authorization: `Bearer ${accessToken}`,
    'user-agent': 'nestjs-latchkey',
  };
  const response = await providerFetch(provider, url, { headers });
  if (response.status !== 200)
    throw new ProviderFault('failed', `It answered ${response.status} instead of a profile.`);
  return response.json();
}

/** Without what the library knows of it: that has codes, tokens and claims. */
function faultOf(error: unknown): ProviderFault {
  const { error: told, code, message, cause } = Object(error) as Record<string, unknown>;
  if (cause instanceof ProviderFault) return cause;
  const said = typeof told === 'string' && ERROR.test(told) ? told : 'an error';
  if (code === 'OAUTH_AUTHORIZATION_RESPONSE_ERROR') return new ProviderFault('refused', `It answered ${said}.`);
  if (typeof told === 'string') return new ProviderFault('failed', `It answered ${said}.`);
  const known = typeof code === 'string' && code.startsWith('OAUTH_');
  return new ProviderFault('failed', known ? `${String(message)} (${code})` : `Asked for it: ${reasonOf(error)}.`);
}

/** What Node says of a connection, such as ECONNREFUSED. */
function reasonOf(error: unknown): string {
  const { code, cause, name } = Object(error) as Record<string, unknown>;
  if (typeof code === 'string') return code;
  return cause === undefined ? String(name) : reasonOf(cause);
}

function isMissing(error: unknown): boolean {
  const { code, message } = Object(error) as { code?: unknown; message?: unknown };
  const isOfModule = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
  return isOfModule && String(message).includes('openid-client');
}
