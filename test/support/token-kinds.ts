import {
  JwtCodecService,
  type AuthUser,
  EphemeralTokenService,
  minutes,
  type EphemeralTokenFields,
} from 'nestjs-latchkey';
import { ApiKeyService } from 'nestjs-latchkey/flows';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import {
  EphemeralTokenSettings,
  type EphemeralTokenRule,
  type OidcRequest,
  type PasskeyPurpose,
} from '../../src/config/ephemeral-token-settings.js';
import type { TestApp } from './app.js';
import { SESSION } from './mailed-codes.js';
import { newAddress } from './registration.js';
import { BUILT_IN } from './token-types.js';

/** A token that nobody has spent: `isLive` says whether that still holds. */
export interface IssuedToken {
  readonly token: string;
  readonly isLive: () => Promise<boolean>;
}

/** For whom a token is issued, and what it is bound to, so that nothing but its kind can be wrong with it. */
export interface IssuedFor {
  readonly user: AuthUser;
  readonly challengeId: string;
  /** The handle of the session that presents it. */
  readonly handle: string;
}

/** Every kind of token, by its name, with what issues one. */
export type TokenKinds = ReadonlyMap<string, (t: TestApp, of: IssuedFor) => Promise<IssuedToken>>;

type Type = keyof typeof BUILT_IN;

/** One that does not answer. */
export const PROVIDER = { provider: 'idp', issuer: 'http://localhost:1' };

/** What a request to a provider is for: one that is not named here does not compile. */
const INTENTS: Record<OidcRequest['intent'], string> = {
  login: 'of a login',
  link: 'of a link',
  step_up: 'of a step-up',
};

/** As {@link INTENTS}, what a passkey is for. */
const PASSKEY_PURPOSES: Record<PasskeyPurpose, string> = {
  login: 'for a login',
  second_factor: 'for a second step',
  step_up: 'for a step-up',
};

/** The types whose tokens are for one of several purposes, each of which is a kind of its own. */
const PURPOSES: { [T in Type]?: Record<string, (of: IssuedFor) => Partial<EphemeralTokenFields[T]>> } = {
  pre_auth: {
    'of a login by the application itself': () => ({}),
    'a second factor is due': ({ user }) => heldLogin(user, {}),
    'a factor must be enrolled': ({ user }) => heldLogin(user, { mustEnrol: true }),
  },
  oidc_state: {
    'of a login by the application itself': () => ({}),
    ...purposes(INTENTS, (intent, { user, handle }) => ({
      request: { ...PROVIDER, intent, redirectUri: 'https://app.example.com/', startedAt: 0, userId: user.id, handle },
    })),
  },
  oidc_exchange: {
    'of a login by the application itself': () => ({}),
    'of a login': ({ user }) => heldLogin(user, { proofs: ['oidc'] }),
  },
  passkey_assert: purposes(PASSKEY_PURPOSES, (purpose) => ({ purpose })),
};

/** A kind of its own for each of these purposes, by its name. */
function purposes<Purpose extends string, Fields>(
  names: Record<Purpose, string>,
  fields: (purpose: Purpose, of: IssuedFor) => Fields,
): Record<string, (of: IssuedFor) => Fields> {
  const entries = Object.entries(names) as [Purpose, string][];
  return Object.fromEntries(entries.map(([purpose, name]) => [name, (of: IssuedFor) => fields(purpose, of)]));
}

const heldLogin = ({ id, tokensInvalidatedAfter = null }: AuthUser, more: object) => ({
  firstFactor: { authenticatedAt: 0, tokensInvalidatedAfter },
  proved: { userId: id, proofs: ['password'], transport: 'cookie' as const, ...more },
});

/** All types of the registry, and what else authenticates somebody. */
export function tokenKinds(): TokenKinds {
  const kinds = new Map<string, (t: TestApp, of: IssuedFor) => Promise<IssuedToken>>();
  for (const [type, rule] of Object.entries(new EphemeralTokenSettings()) as [Type, EphemeralTokenRule][]) {
    const several = Object.entries(PURPOSES[type] ?? {}) as [string, (of: IssuedFor) => object][];
    if (several.length === 0) kinds.set(`\`${type}\``, ephemeral(type, rule));
    for (const [purpose, fields] of several) kinds.set(`\`${type}\`, ${purpose}`, ephemeral(type, rule, fields));
  }
  kinds.set('a session', async (t, { user }) => {
    const cookie = await signInAs(t.app, user.id, { proofs: ['password', 'passkey-presence'] });
    return { token: cookie.slice(cookie.indexOf('=') + 1), isLive: () => isSession(t, { Cookie: cookie }) };
  });
  kinds.set('a session JWT', async (t, { user }) => {
    const { token } = t.app.get(JwtCodecService).encode(user.id);
    return { token, isLive: () => isSession(t, { Authorization: `Bearer ${token}` }) };
  });
  kinds.set('a JWT of another purpose', async (t, { user }) => {
    const codec = t.app.get(JwtCodecService);
    const { token } = codec.encode(user.id, { purpose: 'password_reset' });
    return { token, isLive: async () => codec.decode(token, { purpose: 'password_reset' }).sub === user.id };
  });
  kinds.set('an API key', async (t, { user }) => {
    const keys = t.app.get(ApiKeyService);
    const { key } = await keys.create(user, { name: 'Notes', scopes: ['notes:read'], expiresIn: minutes(60) });
    return { token: key, isLive: async () => (await keys.authenticate(key)) !== null };
  });
  return kinds;
}

function ephemeral(type: Type, rule: EphemeralTokenRule, more: (of: IssuedFor) => object = () => ({})) {
  return async (t: TestApp, of: IssuedFor): Promise<IssuedToken> => {
    const tokens = t.app.get(EphemeralTokenService);
    const [example, bound] = BUILT_IN[type];
    const own: Record<string, unknown> = {
      username: of.user.email,
      account: of.user.id,
      email: type === 'factor_revert' ? of.user.email : newAddress(),
      from: type === 'email_revert' ? newAddress() : of.user.email,
      to: newAddress(),
      trustedAt: t.clock.now(),
      changedAt: t.clock.now(),
      addedAt: t.clock.now(),
      challengeId: of.challengeId,
    };
    const fields = Object.fromEntries(
      Object.entries(example).flatMap(([name, value]) =>
        name === 'passwordHash' ? [] : [[name, own[name] ?? (value as unknown)]],
      ),
    );
    const binding = rule.binding === 'challengeId' ? of.challengeId : bound;
    if (rule.binding === 'challengeId') fields['challengeId'] = of.challengeId;
    const token = await tokens.issue(type as 'pre_auth', { ...fields, ...more(of) } as never);
    return { token, isLive: async () => (await tokens.peek(type as 'pre_auth', token, binding)) !== null };
  };
}

async function isSession(t: TestApp, headers: Record<string, string>): Promise<boolean> {
  return (await request(t.url).get('/auth/session').set(headers)).status === 200;
}

export const sessionCookie = (token: string): string => `${SESSION}=${token}`;
