import { createHash, createHmac, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

type Json = Record<string, unknown>;

/** What this provider does otherwise than a good one. */
export interface Tampering {
  /** Changes the metadata before they are sent. */
  readonly metadata?: (document: Json) => Json;
  /** Answers a request in place of the provider, by its path; what it leaves alone is answered as ever. */
  readonly respond?: (path: string, response: ServerResponse) => boolean;
  /** Changes the parameters with which the browser comes back. */
  readonly callback?: (parameters: URLSearchParams) => void;
  /** Changes the claims of the ID token. `undefined` leaves one out. */
  readonly claims?: (claims: Json) => Json;
  /** Changes the answer of the token endpoint. */
  readonly tokens?: (tokens: Json) => Json;
  /** Signs the ID token, or does not. */
  readonly signed?: (input: string, keys: Keys) => { header: Json; signature: (input: string) => Buffer };
}

interface Keys {
  readonly own: KeyObject;
  /** Published too, as `ED25519_KID`. */
  readonly ed25519: KeyObject;
  /** As anybody can read them: what a confused verifier takes for the secret of an HMAC. */
  readonly published: string;
  readonly foreign: KeyObject;
}

const KID = 'stub';
export const ED25519_KID = 'stub-ed25519';
const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const rsa = () => generateKeyPairSync('rsa', { modulusLength: 2048 });
const rs256 = (key: KeyObject) => (input: string) => sign('sha256', Buffer.from(input), key);

export const STUB_CLIENT = { clientId: 'notes', clientSecret: 'a secret between the application and its provider' };

/** Made once for all stubs of a file: it takes long. */
let made: { own: ReturnType<typeof rsa>; foreign: ReturnType<typeof rsa>; ed25519: ReturnType<typeof rsa> } | undefined;

/**
 * A provider of OpenID Connect that answers as it is told, to make what a good one cannot: each `Tampering` leaves all
 * else as it should be, and none leaves a login that has to succeed. `isKeycloak`: the addresses and metadata of a realm.
 */
export async function startStubProvider({ isKeycloak = false } = {}): Promise<StubProvider> {
  made ??= { own: rsa(), foreign: rsa(), ed25519: generateKeyPairSync('ed25519') };
  const published = made.own.publicKey.export({ type: 'spki', format: 'pem' }) as string;
  const keys: Keys = {
    own: made.own.privateKey,
    ed25519: made.ed25519.privateKey,
    published,
    foreign: made.foreign.privateKey,
  };
  const jwk = { ...made.own.publicKey.export({ format: 'jwk' }), kid: KID, use: 'sig', alg: 'RS256' };
  const ed25519 = { ...made.ed25519.publicKey.export({ format: 'jwk' }), kid: ED25519_KID, use: 'sig', alg: 'EdDSA' };
  let tampering: Tampering = {};
  /** What each code was given out for. */
  const codes = new Map<string, { nonce: string | null; challenge: string | null; claims: Json }>();

  const server = createServer((request, response) => {
    const path = new URL(request.url!, issuer).pathname;
    if (tampering.respond?.(path, response)) return;
    const json = (body: unknown, status = 200) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    if (path.endsWith('/.well-known/openid-configuration')) json((tampering.metadata ?? same)(metadata()));
    else if (path.endsWith('/jwks') || path.endsWith('/certs')) json({ keys: [jwk, ed25519] });
    else if (path.endsWith('/token')) {
      void text(request).then((body) => {
        const form = new URLSearchParams(body);
        const code = codes.get(form.get('code') ?? '');
        codes.delete(form.get('code') ?? '');
        const verifier = createHash('sha256')
          .update(form.get('code_verifier') ?? '')
          .digest('base64url');
        if (code?.challenge === verifier) json((tampering.tokens ?? same)({ ...tokensOf(code) }));
        else json({ error: 'invalid_grant' }, 400);
      });
    } else json({}, 404);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}${isKeycloak ? '/realms/notes' : ''}`;

  const metadata = (): Json => (isKeycloak ? keycloakMetadata(issuer) : plainMetadata());
  const plainMetadata = (): Json => ({
    issuer,
    authorization_endpoint: `${issuer}/auth`,
    token_endpoint: `${issuer}/token`,
    jwks_uri: `${issuer}/jwks`,
    response_types_supported: ['code'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256', 'EdDSA'],
    authorization_response_iss_parameter_supported: true,
    code_challenge_methods_supported: ['S256'],
  });

  const tokensOf = ({ nonce, claims: own }: { nonce: string | null; claims: Json }): Json => {
    const now = Math.floor(Date.now() / 1000);
    const base = {
      iss: issuer,
      sub: 'ada',
      aud: STUB_CLIENT.clientId,
      iat: now,
      exp: now + 300,
      auth_time: now,
      nonce,
    };
    const claims = (tampering.claims ?? same)({ email: 'ada@example.com', email_verified: true, ...base, ...own });
    return { access_token: 'an-access-token', token_type: 'Bearer', expires_in: 300, id_token: idToken(claims) };
  };

  const idToken = (claims: Json): string => {
    const good = { header: { alg: 'RS256', kid: KID }, signature: rs256(keys.own) };
    const { header, signature } = tampering.signed?.('', keys) ?? good;
    const input = `${encoded(header)}.${encoded(claims)}`;
    return `${input}.${signature(input).toString('base64url')}`;
  };

  return {
    issuer,
    tamper: (next) => void (tampering = next),
    authorize: (url, claims = {}) => {
      const asked = new URL(url).searchParams;
      const code = `code-${codes.size}-${Math.random().toString(36).slice(2)}`;
      codes.set(code, { nonce: asked.get('nonce'), challenge: asked.get('code_challenge'), claims });
      const callback = new URL(asked.get('redirect_uri')!);
      callback.search = new URLSearchParams({ code, state: asked.get('state')!, iss: issuer }).toString();
      const parameters = callback.searchParams;
      tampering.callback?.(parameters);
      return callback.href;
    },
    signedBy: (claims) => idToken(claims),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export interface StubProvider {
  readonly issuer: string;
  /** From now on; `{}` for a good provider. */
  tamper(tampering: Tampering): void;
  /** The user logs in: from the address of an authorization request to that of the callback. */
  authorize(url: string, claims?: Json): string;
  /** A JWT with these claims, signed as the tampering says. */
  signedBy(claims: Json): string;
  close(): Promise<void>;
}

const same = (value: Json): Json => value;
const without =
  (name: string) =>
  (claims: Json): Json =>
    Object.fromEntries(Object.entries(claims).filter(([key]) => key !== name));
const withClaims = (more: Json): Tampering => ({ claims: (claims) => ({ ...claims, ...more }) });
const withHeader = (header: Json, signature: (keys: Keys) => (input: string) => Buffer): Tampering => ({
  signed: (_, keys) => ({ header, signature: signature(keys) }),
});
/** As a good provider that signs by Ed25519 (RFC 8037). */
export const BY_ED25519 = withHeader(
  { alg: 'EdDSA', kid: ED25519_KID },
  ({ ed25519 }) =>
    (input) =>
      sign(null, Buffer.from(input), ed25519),
);
const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds;
const cut = (response: ServerResponse, status: number, headers = {}) => response.writeHead(status, headers).end();
const atDiscovery = (answer: (response: ServerResponse) => unknown): Tampering => ({
  respond: (path, response) => {
    if (!path.includes('/.well-known/')) return false;
    answer(response);
    return true;
  },
});

/** What is signed or claimed wrongly, and what comes back wrongly: each of them is refused (F58, F59, F60). */
export const TAMPERINGS: Readonly<Record<string, Tampering>> = {
  'another state': { callback: (parameters) => parameters.set('state', 'x'.repeat(43)) },
  'no state': { callback: (parameters) => parameters.delete('state') },
  'no nonce': { claims: without('nonce') },
  'another nonce': withClaims({ nonce: 'x'.repeat(43) }),
  'another iss beside the code': { callback: (parameters) => parameters.set('iss', 'https://evil.example') },
  'no iss beside the code, which was announced': { callback: (parameters) => parameters.delete('iss') },
  'another issuer': withClaims({ iss: 'https://evil.example' }),
  'no issuer': { claims: without('iss') },
  'another audience': withClaims({ aud: 'somebody-else' }),
  'no audience': { claims: without('aud') },
  'two audiences, given out to the other': withClaims({ aud: ['notes', 'else'], azp: 'else' }),
  'two audiences, given out to nobody': withClaims({ aud: ['notes', 'else'] }),
  'given out to another client': withClaims({ azp: 'somebody-else' }),
  'an access token of somebody else': withClaims({ at_hash: 'x'.repeat(22) }),
  expired: withClaims({ exp: inSeconds(-3_600), iat: inSeconds(-7_200) }),
  'no expiry': { claims: without('exp') },
  'no iat': { claims: without('iat') },
  'not valid yet': withClaims({ nbf: inSeconds(3_600) }),
  'no subject': { claims: without('sub') },
  'a subject that is no text': withClaims({ sub: 7 }),
  'an empty subject': withClaims({ sub: '' }),
  'a subject of 256 characters': withClaims({ sub: 'x'.repeat(256) }),
  'a subject with a line break': withClaims({ sub: 'ada\neve' }),
  'alg none': withHeader({ alg: 'none' }, () => () => Buffer.alloc(0)),
  'HS256 with the public key': withHeader(
    { alg: 'HS256', kid: KID },
    ({ published }) =>
      (input) =>
        createHmac('sha256', published).update(input).digest(),
  ),
  'HS256 with the secret of the client': withHeader(
    { alg: 'HS256' },
    () => (input) => createHmac('sha256', STUB_CLIENT.clientSecret).update(input).digest(),
  ),
  'a broken signature': withHeader({ alg: 'RS256', kid: KID }, ({ own }) => (input) => {
    const signature = rs256(own)(input);
    signature[7]! ^= 1;
    return signature;
  }),
  'no signature': withHeader({ alg: 'RS256', kid: KID }, () => () => Buffer.alloc(0)),
  'the key of somebody else': withHeader({ alg: 'RS256', kid: KID }, ({ foreign }) => rs256(foreign)),
  'an unknown key': withHeader({ alg: 'RS256', kid: 'unknown' }, ({ foreign }) => rs256(foreign)),
  'another algorithm of the same key': withHeader(
    { alg: 'RS512', kid: KID },
    ({ own }) =>
      (input) =>
        sign('sha512', Buffer.from(input), own),
  ),
  'no ID token': { tokens: without('id_token') },
  'an ID token that is none': { tokens: (tokens) => ({ ...tokens, id_token: 'x.y.z' }) },
  'an error instead of a code': {
    callback: (parameters) => {
      parameters.delete('code');
      parameters.set('error', 'access_denied');
      parameters.set('error_description', '<script>alert(1)</script>\r\nSet-Cookie: a=b');
    },
  },
  'two codes': { callback: (parameters) => parameters.append('code', 'another') },
};

/** What a provider makes us fetch (F68). `never` does not answer at all: for a test that ends the waiting itself. */
export const BAD_DISCOVERY: Readonly<Record<string, Tampering>> = {
  'a redirect': atDiscovery((response) => cut(response, 302, { location: 'http://127.0.0.1:1/' })),
  'an error': atDiscovery((response) => cut(response, 500)),
  'no JSON': atDiscovery((response) => response.writeHead(200, { 'content-type': 'application/json' }).end('<html>')),
  'a document without end': atDiscovery((response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    const more = () => {
      if (!response.destroyed && response.write(' '.repeat(65_536))) setImmediate(more);
    };
    response.on('drain', more);
    more();
  }),
  'a connection that ends': atDiscovery((response) => response.socket?.destroy()),
  'another issuer': { metadata: (document) => ({ ...document, issuer: 'https://evil.example' }) },
  'no issuer': { metadata: without('issuer') },
};

/** Metadata that lead elsewhere: found out when the keys or tokens are fetched. */
export const BAD_ENDPOINTS: Readonly<Record<string, Tampering>> = {
  'plain http for the tokens': {
    metadata: (document) => ({ ...document, token_endpoint: 'http://evil.example/token' }),
  },
  'plain http for the keys': { metadata: (document) => ({ ...document, jwks_uri: 'http://evil.example/jwks' }) },
  'a redirect of the tokens': {
    respond: (path, response) => path === '/token' && Boolean(cut(response, 307, { location: '/elsewhere' })),
  },
  'a redirect of the keys': {
    respond: (path, response) => path === '/jwks' && Boolean(cut(response, 302, { location: '/elsewhere' })),
  },
};

/** What Keycloak says of a realm, as far as it differs from what a client expects: many endpoints, and optional ones. */
export function keycloakMetadata(issuer: string): Json {
  const endpoint = (path: string) => `${issuer}/protocol/openid-connect/${path}`;
  return {
    issuer,
    authorization_endpoint: endpoint('auth'),
    token_endpoint: endpoint('token'),
    introspection_endpoint: endpoint('token/introspect'),
    userinfo_endpoint: endpoint('userinfo'),
    end_session_endpoint: endpoint('logout'),
    frontchannel_logout_session_supported: true,
    frontchannel_logout_supported: true,
    backchannel_logout_supported: true,
    backchannel_logout_session_supported: true,
    jwks_uri: endpoint('certs'),
    check_session_iframe: endpoint('login-status-iframe.html'),
    grant_types_supported: ['authorization_code', 'implicit', 'refresh_token', 'password', 'client_credentials'],
    response_types_supported: ['code', 'none', 'id_token', 'token', 'id_token token', 'code id_token'],
    subject_types_supported: ['public', 'pairwise'],
    id_token_signing_alg_values_supported: ['PS384', 'RS384', 'EdDSA', 'ES384', 'HS256', 'ES256', 'RS256', 'HS512'],
    response_modes_supported: ['query', 'fragment', 'form_post', 'query.jwt', 'fragment.jwt', 'form_post.jwt', 'jwt'],
    registration_endpoint: `${issuer}/clients-registrations/openid-connect`,
    token_endpoint_auth_methods_supported: ['private_key_jwt', 'client_secret_basic', 'client_secret_post'],
    claims_supported: ['iss', 'sub', 'aud', 'exp', 'iat', 'auth_time', 'name', 'email', 'acr', 'azp', 'nonce'],
    claim_types_supported: ['normal'],
    claims_parameter_supported: true,
    scopes_supported: ['openid', 'profile', 'email', 'roles', 'offline_access'],
    code_challenge_methods_supported: ['plain', 'S256'],
    authorization_response_iss_parameter_supported: true,
  };
}
