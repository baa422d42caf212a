import { isLocalPath } from '../common/local-path.js';
import { FlowSettings } from './every-flow-settings.js';
import { isRecord, type OptionChecker } from './option-checker.js';

/** The claims of an ID token that has been verified. */
export type OidcClaims = Readonly<Record<string, unknown>>;

/** What providers of both kinds have. */
export interface IdentityProvider {
  /** Its name in addresses and rows: a small letter, then small letters, digits and dashes, 32 characters at most. */
  readonly id: string;
  /** What a page calls it. Default: the id. */
  readonly label?: string | undefined;
  /** As the provider has registered this application. */
  readonly clientId: string;
  /** A function for one that has to be made, as Apple's: it is called for each request. Default: none, a public client. */
  readonly clientSecret?: string | (() => string | Promise<string>) | undefined;
  /** How the secret is sent: in the header, or in the body. Default `basic`. */
  readonly clientAuthentication?: 'basic' | 'post' | undefined;
  /** Default `openid email profile`; of a plain OAuth 2 provider none. */
  readonly scope?: string | undefined;
  /** Further parameters of the request to the provider, such as `{ prompt: 'select_account' }`. */
  readonly authorizationParameters?: Readonly<Record<string, string>> | undefined;
  /** Whether an identity that nobody has linked opens an account. Default false. */
  readonly signUp?: boolean | undefined;
  /**
   * What happens if there is an account with the address of an unknown identity. Default `after-login`: its owner logs in
   * as before, and then links it. `verified-email`: it is linked if both sides have verified the address, and its domain
   * is among `authoritativeFor`.
   */
  readonly link?: 'after-login' | 'verified-email' | undefined;
  /** The domains whose mailboxes this provider hands out itself, such as `['gmail.com']`. For `link: 'verified-email'`. */
  readonly authoritativeFor?: readonly string[] | undefined;
  /**
   * Whether a session counts as fresh from its login on, where the provider does not say when its user has proved who they
   * are (`auth_time`): it may have answered for whoever sits at an unlocked browser. Default false: what asks for a fresh
   * session asks for another proof first.
   */
  readonly freshWithoutAuthTime?: boolean | undefined;
}

/** A provider of OpenID Connect; its endpoints and keys are discovered from its issuer. */
export interface OidcProvider extends IdentityProvider {
  /** As its ID tokens say it, such as `https://accounts.google.com`. */
  readonly issuer: string;
  /** How it answers. Default `query`; Apple asks for `form_post`. */
  readonly responseMode?: 'query' | 'form_post' | undefined;
  /** The signatures of its ID tokens. Default `['RS256']`; those of a shared secret cannot be chosen. */
  readonly algorithms?: readonly string[] | undefined;
  /** What a login there is worth, from its claims, such as `acr` and `amr`: 2 for two factors. Default 1. */
  readonly assurance?: ((claims: OidcClaims) => 1 | 2) | undefined;
  /**
   * Whether a user who is logged in there can prove again who they are, for a step-up: it asks them (`prompt=login`,
   * `max_age=0`) and says when that was (`auth_time`). Default true; with `false` no step-up is offered or begun there.
   */
  readonly stepUp?: boolean | undefined;
}

/** Who has logged in at a provider of plain OAuth 2. */
export interface OAuth2Profile {
  /** What never changes and is never given to anybody else, such as a number. A name or an address is none. */
  readonly subject: string;
  readonly email: string | null;
  /** Whether the provider says that the mailbox is the user's. */
  readonly emailVerified: boolean;
  readonly name?: string | undefined;
}

/** A provider of plain OAuth 2: no token is signed there, so it is asked who has logged in. */
export interface OAuth2Provider extends IdentityProvider {
  /** The name under which its users are known here, such as `https://github.com`. It is fixed for ever. */
  readonly issuer: string;
  readonly authorizationEndpoint: string;
  readonly tokenEndpoint: string;
  /** Asks who it is: `get` fetches JSON with the access token. */
  readonly profile: (get: (url: string) => Promise<unknown>) => Promise<OAuth2Profile>;
}

/** Where people may log in: see `flows.oidc.providers`. */
export type ProviderDefinition = OidcProvider | OAuth2Provider;

export const isOAuth2 = (provider: ProviderDefinition): provider is OAuth2Provider => 'profile' in provider;

/** Whether users can prove there again who they are; plain OAuth 2 has no word for it. */
export const hasStepUp = (provider: ProviderDefinition): boolean => !isOAuth2(provider) && provider.stepUp !== false;

/** `POST oidc/:provider`, its callback and what belongs to them. Needs `openid-client` and `baseUrl`. */
export class OidcSettings extends FlowSettings {
  /** Where people may log in. Required. */
  providers: readonly ProviderDefinition[] = [];
  /**
   * The path of your page that a login ends on which is not finished: it gets `?error=CODE`, or `#status=second_factor`
   * and the token for it. Default: with `flows.pages` those pages, else `loginPage`,
   * or else `/`.
   */
  page: string | undefined = undefined;
}

const ID = /^[a-z][a-z0-9-]{0,31}$/;
/** JSON Web Algorithms by which only the provider can sign (RFC 7518, RFC 8037, RFC 9864). */
const ALGORITHM = /^(?:(?:RS|PS|ES)(?:256|384|512)|EdDSA|Ed25519)$/;
const DOMAIN = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$/;
const KEYS = [
  'id',
  'label',
  'clientId',
  'clientSecret',
  'clientAuthentication',
  'scope',
  'authorizationParameters',
  'signUp',
  'link',
  'authoritativeFor',
  'freshWithoutAuthTime',
  'issuer',
];
const OIDC_KEYS = [...KEYS, 'responseMode', 'algorithms', 'assurance', 'stepUp'];
const OAUTH2_KEYS = [...KEYS, 'authorizationEndpoint', 'tokenEndpoint', 'profile'];
/** What a login is bound by, which must not be replaced. */
const OURS =
  /^(?:client_id|response_type|response_mode|redirect_uri|scope|state|nonce|code_challenge(?:_method)?|max_age)$/;

/** The providers as a copy that shows no secret to whoever inspects it. */
export function checkOidc(
  check: OptionChecker,
  label: string,
  { providers, page }: Readonly<OidcSettings>,
  { baseUrl }: { readonly baseUrl: string | undefined },
): Pick<OidcSettings, 'providers'> {
  check.that(baseUrl !== undefined, `${label} needs baseUrl, with which the addresses of its callbacks begin.`);
  check.that(
    page === undefined || isLocalPath(page),
    `${label}.page must be a path of this application such as '/login', not an address elsewhere.`,
  );
  const list: readonly unknown[] = Array.isArray(providers) ? providers : [];
  check.that(list.length > 0, `${label}.providers must list at least one provider.`);
  for (const [i, provider] of list.entries()) checkProvider(check, `${label}.providers[${i}]`, provider);
  const known = list.filter(isRecord) as unknown as ProviderDefinition[];
  check.that(
    new Set(known.map(({ id }) => id)).size === known.length,
    `${label}.providers: each needs an id of its own.`,
  );
  check.that(
    new Set(known.map(({ issuer, clientId }) => `${issuer} ${clientId}`)).size === known.length,
    `${label}.providers: two have the same issuer and clientId: leave one out.`,
  );
  return { providers: Object.freeze(known.map(withHiddenSecret)) };
}

function checkProvider(check: OptionChecker, label: string, provider: unknown): void {
  check.keys(`${label}.`, provider, isRecord(provider) && 'profile' in provider ? OAUTH2_KEYS : OIDC_KEYS);
  if (!isRecord(provider)) return;
  const { id, issuer, clientId, clientSecret, label: shown, scope, signUp, link, authoritativeFor } = provider;
  check.that(
    typeof id === 'string' && ID.test(id),
    `${label}.id must be a small letter and up to 31 of a-z, 0-9 and -: it stands in addresses.`,
  );
  check.that(isText(clientId), `${label}.clientId must be the one that the provider has given to this application.`);
  check.that(
    clientSecret === undefined || isText(clientSecret) || typeof clientSecret === 'function',
    `${label}.clientSecret must be a text or a function that makes one; leave it out for a public client.`,
  );
  check.that(
    isIssuer(issuer),
    `${label}.issuer must be an https address without a query such as 'https://accounts.example.com'; only localhost may be plain.`,
  );
  check.that(shown === undefined || isText(shown), `${label}.label must be a text.`);
  check.that(scope === undefined || isText(scope), `${label}.scope must be a text such as 'openid email'.`);
  if (signUp !== undefined) check.flag(`${label}.signUp`, signUp);
  if (link !== undefined) check.oneOf(`${label}.link`, link, ['after-login', 'verified-email']);
  const { clientAuthentication, authorizationParameters, freshWithoutAuthTime } = provider;
  if (freshWithoutAuthTime !== undefined) check.flag(`${label}.freshWithoutAuthTime`, freshWithoutAuthTime);
  if (clientAuthentication !== undefined) {
    check.oneOf(`${label}.clientAuthentication`, clientAuthentication, ['basic', 'post']);
  }
  check.that(
    authoritativeFor === undefined || (Array.isArray(authoritativeFor) && authoritativeFor.every(isDomain)),
    `${label}.authoritativeFor must list domains such as ['example.com'], in small letters.`,
  );
  check.that(
    link !== 'verified-email' || (Array.isArray(authoritativeFor) && authoritativeFor.length > 0),
    `${label}.link: 'verified-email' needs authoritativeFor: of other domains the provider only repeats what somebody told it.`,
  );
  check.that(
    authorizationParameters === undefined ||
      (isRecord(authorizationParameters) && Object.entries(authorizationParameters).every(isParameter)),
    `${label}.authorizationParameters must be texts, and none of those that bind the login, such as state or nonce.`,
  );
  if ('profile' in provider) checkOAuth2(check, label, provider);
  else checkOpenId(check, label, provider);
}

function checkOpenId(check: OptionChecker, label: string, provider: Record<string, unknown>): void {
  const { responseMode, algorithms, assurance, scope, stepUp } = provider;
  if (stepUp !== undefined) check.flag(`${label}.stepUp`, stepUp);
  if (responseMode !== undefined) check.oneOf(`${label}.responseMode`, responseMode, ['query', 'form_post']);
  check.that(
    typeof scope !== 'string' || scope.split(' ').includes('openid'),
    `${label}.scope must have openid in it: without it there is no ID token.`,
  );
  check.that(
    algorithms === undefined || (Array.isArray(algorithms) && algorithms.length > 0 && algorithms.every(isAlgorithm)),
    `${label}.algorithms must list signatures such as ['RS256', 'ES256']: none of a shared secret, and not none.`,
  );
  check.that(
    assurance === undefined || typeof assurance === 'function',
    `${label}.assurance must be a function of the claims that returns 1 or 2.`,
  );
}

function checkOAuth2(check: OptionChecker, label: string, provider: Record<string, unknown>): void {
  const { authorizationEndpoint, tokenEndpoint, profile } = provider;
  for (const [name, value] of Object.entries({ authorizationEndpoint, tokenEndpoint })) {
    check.that(isIssuer(value), `${label}.${name} must be an https address; only localhost may be plain.`);
  }
  check.that(typeof profile === 'function', `${label}.profile must be a function that asks who has logged in.`);
}

/** Functions do not show what they return. */
function withHiddenSecret(provider: ProviderDefinition): ProviderDefinition {
  const { clientSecret } = provider;
  return Object.freeze({
    ...provider,
    ...(typeof clientSecret === 'string' && { clientSecret: () => clientSecret }),
  });
}

const isText = (value: unknown): value is string => typeof value === 'string' && value.trim() !== '';
const isDomain = (value: unknown): boolean => typeof value === 'string' && DOMAIN.test(value);
const isAlgorithm = (value: unknown): boolean => typeof value === 'string' && ALGORITHM.test(value);
const isParameter = ([name, value]: [string, unknown]): boolean => !OURS.test(name) && typeof value === 'string';

function isIssuer(value: unknown): value is string {
  if (typeof value !== 'string' || value.length > 255 || !URL.canParse(value)) return false;
  const { protocol, hostname, search, hash, username } = new URL(value);
  if (search !== '' || hash !== '' || username !== '') return false;
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname));
}

/** Where plain http stays on the machine. */
export const isLoopback = (hostname: string): boolean =>
  hostname === 'localhost' || hostname === '127.0.0.1' || hostname === '[::1]';
