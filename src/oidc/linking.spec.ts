import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { decideLinking, type LinkingDecision, type LinkingFacts } from './linking.js';

const EMAIL = 'ada@gmail.com';
const verified = { email: EMAIL, emailVerified: true };
const unverified = { email: EMAIL, emailVerified: false };
const proved = { id: 'ada', emailVerifiedAt: 1_700_000_000_000 };
const unproved = { id: 'ada', emailVerifiedAt: null };
const open = { signUp: true, link: 'after-login', authoritativeFor: ['gmail.com'] } as const;
const byEmail = { ...open, link: 'verified-email' } as const;
const closed = { ...open, signUp: false };
const login: LinkingFacts = {
  intent: 'login',
  userId: null,
  ownerId: null,
  identity: verified,
  account: null,
  provider: open,
};
const link: LinkingFacts = { ...login, intent: 'link', userId: 'ada' };

const LOG_IN = { kind: 'log_in', userId: 'ada' } as const;
const LINKED = { kind: 'link', userId: 'ada' } as const;
const CREATE = { kind: 'create' } as const;
const PROVE = { kind: 'prove_email' } as const;
const refused = (code: 'IDENTITY_IN_USE' | 'ACCOUNT_EXISTS' | 'NO_ACCOUNT') => ({ kind: 'refuse', code }) as const;
const EXISTS = refused('ACCOUNT_EXISTS');
const NONE = refused('NO_ACCOUNT');

/** What a provider may say in place of `true`, or leave out. */
const UNVERIFIED: readonly unknown[] = [undefined, null, false, 'true', 'TRUE', '1', 1, 0, [true], ['true'], {}, NaN];
const said = (emailVerified: unknown) => ({ email: EMAIL, emailVerified }) as LinkingFacts['identity'];

describe('whose account somebody enters who comes back from a provider', () => {
  it.each<[row: string, facts: LinkingFacts, decision: LinkingDecision]>([
    ['known, login', { ...login, ownerId: 'ada' }, LOG_IN],
    ['known, login, sign-up closed', { ...login, ownerId: 'ada', provider: closed }, LOG_IN],
    ['known, login, no address', { ...login, ownerId: 'ada', identity: { ...unverified, email: null } }, LOG_IN],
    [
      "known, login, another's address",
      { ...login, ownerId: 'ada', account: { ...proved, id: 'eve' }, provider: byEmail },
      LOG_IN,
    ],
    ['known, link, same user', { ...link, ownerId: 'ada' }, { kind: 'already_linked' }],
    ['known, link, other user', { ...link, ownerId: 'eve' }, refused('IDENTITY_IN_USE')],
    [
      'known, link, other user, the address of this one',
      { ...link, ownerId: 'eve', account: proved, provider: byEmail },
      refused('IDENTITY_IN_USE'),
    ],
    ['unknown, link', link, LINKED],
    ['unknown, link, the address of nobody', { ...link, identity: unverified, provider: closed }, LINKED],
    ["unknown, link, another's address", { ...link, account: { ...proved, id: 'eve' }, provider: byEmail }, LINKED],
    ['unknown, login, no account, verified', login, CREATE],
    ['unknown, login, no account, verified, sign-up closed', { ...login, provider: closed }, NONE],
    ['unknown, login, no account, verified, nothing allowed', { ...login, provider: {} }, NONE],
    ['unknown, login, no account, unverified', { ...login, identity: unverified }, PROVE],
    [
      'unknown, login, no account, unverified, sign-up closed',
      { ...login, identity: unverified, provider: closed },
      NONE,
    ],
    ['unknown, login, no address', { ...login, identity: { ...verified, email: null } }, NONE],
    ['unknown, login, an account', { ...login, account: proved }, EXISTS],
    ['unknown, login, an account, sign-up closed', { ...login, account: proved, provider: closed }, EXISTS],
    ['unknown, login, an account, nothing allowed', { ...login, account: proved, provider: {} }, EXISTS],
    ['unknown, login, an account, unproved here', { ...login, account: unproved }, EXISTS],
    ['unknown, login, an account, unverified there', { ...login, account: proved, identity: unverified }, EXISTS],
    ['verified-email, proved by both', { ...login, account: proved, provider: byEmail }, LINKED],
    [
      'verified-email, proved by both, sign-up closed',
      { ...login, account: proved, provider: { ...byEmail, signUp: false } },
      LINKED,
    ],
    ['verified-email, unproved here', { ...login, account: unproved, provider: byEmail }, EXISTS],
    ['verified-email, unknown here', { ...login, account: { id: 'ada' }, provider: byEmail }, EXISTS],
    [
      'verified-email, unverified there',
      { ...login, account: proved, identity: unverified, provider: byEmail },
      EXISTS,
    ],
    [
      'verified-email, of no domain of the provider',
      { ...login, account: proved, provider: { ...byEmail, authoritativeFor: [] } },
      EXISTS,
    ],
    ['verified-email, no domains written', { ...login, account: proved, provider: { link: 'verified-email' } }, EXISTS],
  ])('F62: %s', (_, facts, decision) => {
    expect(decideLinking(facts)).toEqual(decision);
  });

  it.each(UNVERIFIED)('F62: email_verified %j is not verified', (claim) => {
    expect(decideLinking({ ...login, identity: said(claim) })).toEqual(PROVE);
    expect(decideLinking({ ...login, identity: said(claim), account: proved, provider: byEmail })).toEqual(EXISTS);
  });

  it.each([
    ['ada@GMAIL.com', LINKED],
    ['"ada@example.org"@gmail.com', LINKED],
    ['ada@mail.gmail.com', EXISTS],
    ['ada@notgmail.com', EXISTS],
    ['ada@gmail.com.example.org', EXISTS],
    ['ada@gmail.com@example.org', EXISTS],
    ['gmail.com', EXISTS],
    ['', EXISTS],
  ])('F62: %s with the domain gmail.com: %j', (email, decision) => {
    const facts = { ...login, identity: { email, emailVerified: true }, account: proved, provider: byEmail };
    expect(decideLinking(facts)).toEqual(decision);
  });

  it('F61: who is known stays who they are with any address, and who is not becomes nobody by one', () => {
    for (const email of [EMAIL, 'new@example.com', null]) {
      const identity = { email, emailVerified: true };
      expect(decideLinking({ ...login, identity, ownerId: 'ada', provider: byEmail })).toEqual(LOG_IN);
      const account = email === EMAIL ? proved : null;
      expect(decideLinking({ ...login, identity, account })).not.toHaveProperty('userId');
    }
  });

  it('a link without a session is a mistake of the program', () => {
    expect(() => decideLinking({ ...link, userId: null })).toThrow(TypeError);
  });
});

const id = fc.constantFrom('ada', 'eve', 'bob');
const anyFacts: fc.Arbitrary<LinkingFacts> = fc.record({
  intent: fc.constantFrom('login', 'link'),
  userId: id,
  ownerId: fc.option(id),
  identity: fc.record({
    email: fc.option(fc.constantFrom(EMAIL, 'ada@GMail.com', 'ada@example.com', 'ada@sub.gmail.com')),
    emailVerified: fc.oneof(fc.constant(true), fc.constantFrom(...UNVERIFIED), fc.anything()) as fc.Arbitrary<boolean>,
  }),
  account: fc.option(fc.record({ id, emailVerifiedAt: fc.option(fc.nat()) })),
  provider: fc.record(
    {
      signUp: fc.boolean(),
      link: fc.constantFrom('after-login', 'verified-email'),
      authoritativeFor: fc.subarray(['gmail.com', 'Example.com']),
    },
    { requiredKeys: [] },
  ),
});

/** Whether the table lets somebody enter this account, written another way than the decision is made. */
function isAllowed(entered: string, { intent, userId, ownerId, identity, account, provider }: LinkingFacts): boolean {
  if (ownerId !== null) return intent === 'login' && entered === ownerId;
  if (intent === 'link') return entered === userId;
  const ends = (provider.authoritativeFor ?? []).map((domain) => `@${domain.toLowerCase()}`);
  return [
    entered === account?.id,
    Number.isFinite(account?.emailVerifiedAt),
    Object.is(identity.emailVerified, true),
    provider.link === 'verified-email',
    ends.some((end) => identity.email?.toLowerCase().endsWith(end)),
  ].every(Boolean);
}

describe('any facts', () => {
  it('F62: no account is entered without what the table asks for', () => {
    const kinds = new Set<string>();
    fc.assert(
      fc.property(anyFacts, (facts) => {
        const decision = decideLinking(facts);
        kinds.add(`${facts.intent}: ${decision.kind}`);
        if ('userId' in decision && !isAllowed(decision.userId, facts)) throw new Error(JSON.stringify(decision));
      }),
      { numRuns: 5_000, seed: 1 },
    );
    // Negative control: each way in was among them.
    for (const kind of ['login: log_in', 'login: link', 'link: link', 'link: already_linked']) {
      expect(kinds).toContain(kind);
    }
  });

  it('F62: an account is made only for who has none, where sign-up is open, and verified by nothing but true', () => {
    fc.assert(
      fc.property(anyFacts, (facts) => {
        const { kind } = decideLinking(facts);
        if (kind !== 'create' && kind !== 'prove_email') return true;
        const { intent, account, ownerId, provider, identity } = facts;
        const isFree = account === null && ownerId === null && intent === 'login' && provider.signUp === true;
        return isFree && identity.email !== null && (kind === 'create') === Object.is(identity.emailVerified, true);
      }),
      { numRuns: 5_000, seed: 2 },
    );
  });
});
