import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { isVerified, linkingOf, type LinkingFacts, type LinkingRules } from './linking.js';

const EMAIL = 'ada@gmail.com';
const LOGIN = { kind: 'login' } as const;
const LINK = { kind: 'link', userId: 'ada' } as const;
const proved = { id: 'ada', isEmailVerified: true };
const unproved = { id: 'ada', isEmailVerified: false };
const facts: LinkingFacts = { intent: LOGIN, ownerId: null, email: EMAIL, emailVerified: true, account: null };
const rules: LinkingRules = { signUp: true, link: 'after-login', authoritativeFor: ['gmail.com'] };
const byEmail: LinkingRules = { ...rules, link: 'verified-email' };
const closed: LinkingRules = { ...rules, signUp: false };
/** What a provider may say in place of `true`, or leave out. */
const UNVERIFIED: readonly unknown[] = [undefined, null, false, 'true', 'TRUE', '1', 1, 0, [true], ['true'], {}, NaN];

describe('whose account somebody enters who comes back from a provider', () => {
  it.each<[row: string, changes: Partial<LinkingFacts>, rules: LinkingRules, decision: object]>([
    ['known, login', { ownerId: 'ada' }, rules, { step: 'log-in', userId: 'ada' }],
    ['known, login, sign-up closed', { ownerId: 'ada' }, closed, { step: 'log-in', userId: 'ada' }],
    ['known, login, no address', { ownerId: 'ada', email: null }, rules, { step: 'log-in', userId: 'ada' }],
    [
      "known, login, another's address",
      { ownerId: 'ada', account: { ...proved, id: 'eve' } },
      byEmail,
      { step: 'log-in', userId: 'ada' },
    ],
    ['known, link, same user', { intent: LINK, ownerId: 'ada' }, rules, { step: 'linked-before', userId: 'ada' }],
    ['known, link, other user', { intent: LINK, ownerId: 'eve' }, rules, { step: 'in-use' }],
    [
      'known, link, other user, address of this one',
      { intent: LINK, ownerId: 'eve', account: proved },
      byEmail,
      { step: 'in-use' },
    ],
    ['unknown, link', { intent: LINK }, rules, { step: 'link', userId: 'ada' }],
    ['unknown, link, sign-up closed', { intent: LINK, email: null }, closed, { step: 'link', userId: 'ada' }],
    [
      "unknown, link, another's address",
      { intent: LINK, account: { ...proved, id: 'eve' } },
      byEmail,
      { step: 'link', userId: 'ada' },
    ],
    ['unknown, login, no account, verified', {}, rules, { step: 'sign-up', email: EMAIL }],
    ['unknown, login, no account, verified, sign-up closed', {}, closed, { step: 'no-account' }],
    [
      'unknown, login, no account, unverified',
      { emailVerified: false },
      rules,
      { step: 'prove-address', email: EMAIL },
    ],
    [
      'unknown, login, no account, unverified, sign-up closed',
      { emailVerified: false },
      closed,
      { step: 'no-account' },
    ],
    ['unknown, login, no address', { email: null }, rules, { step: 'no-account' }],
    ['unknown, login, an account', { account: proved }, rules, { step: 'account-exists' }],
    ['unknown, login, an account, unproved here', { account: unproved }, rules, { step: 'account-exists' }],
    [
      'unknown, login, an account, unverified there',
      { account: proved, emailVerified: 'true' },
      rules,
      { step: 'account-exists' },
    ],
    ['verified-email, proved by both', { account: proved }, byEmail, { step: 'link-and-log-in', userId: 'ada' }],
    [
      'verified-email, sign-up closed',
      { account: proved },
      { ...byEmail, signUp: false },
      { step: 'link-and-log-in', userId: 'ada' },
    ],
    ['verified-email, unproved here', { account: unproved }, byEmail, { step: 'account-exists' }],
    [
      'verified-email, unverified there',
      { account: proved, emailVerified: false },
      byEmail,
      { step: 'account-exists' },
    ],
    [
      'verified-email, of another domain',
      { account: proved, email: 'ada@example.com' },
      byEmail,
      { step: 'account-exists' },
    ],
    [
      'verified-email, no domain',
      { account: proved },
      { ...byEmail, authoritativeFor: [] },
      { step: 'account-exists' },
    ],
  ])('F62: %s', (_, changes, allowed, decision) => {
    expect(linkingOf({ ...facts, ...changes }, allowed)).toEqual(decision);
  });

  it.each(UNVERIFIED)('F62: email_verified %j is not verified', (emailVerified) => {
    expect(isVerified(emailVerified)).toBe(false);
    expect(linkingOf({ ...facts, emailVerified }, byEmail).step).toBe('prove-address');
    expect(linkingOf({ ...facts, emailVerified, account: proved }, byEmail).step).toBe('account-exists');
  });

  it.each([
    ['ada@GMAIL.com', 'link-and-log-in'],
    ['ada@mail.gmail.com', 'account-exists'],
    ['ada@notgmail.com', 'account-exists'],
    ['ada@gmail.com.example.org', 'account-exists'],
    ['ada@gmail.com@example.org', 'account-exists'],
    ['"ada@example.org"@gmail.com', 'link-and-log-in'],
    ['gmail.com', 'account-exists'],
    ['', 'account-exists'],
  ])('F62: %s is of a domain of the provider: %s', (email, step) => {
    expect(linkingOf({ ...facts, email, account: proved }, byEmail).step).toBe(step);
  });

  it('F61: another address or account at the provider changes nothing for a known subject, and an address finds no owner', () => {
    for (const email of [EMAIL, 'new@example.com', null]) {
      expect(linkingOf({ ...facts, email, ownerId: 'ada' }, byEmail)).toEqual({ step: 'log-in', userId: 'ada' });
      const elsewhere = linkingOf({ ...facts, email, account: email === EMAIL ? proved : null }, rules);
      expect(elsewhere).not.toHaveProperty('userId');
    }
  });
});

const id = fc.constantFrom('ada', 'eve', 'bob');
const anyFacts = fc.record({
  intent: fc.oneof(fc.constant(LOGIN), fc.record({ kind: fc.constant('link' as const), userId: id })),
  ownerId: fc.option(id),
  email: fc.option(fc.constantFrom(EMAIL, 'ada@GMail.com', 'ada@example.com', 'ada@sub.gmail.com')),
  emailVerified: fc.oneof(fc.boolean(), fc.constantFrom(...UNVERIFIED), fc.anything()),
  account: fc.option(fc.record({ id, isEmailVerified: fc.boolean() })),
});
const anyRules = fc.record({
  signUp: fc.boolean(),
  link: fc.constantFrom('after-login' as const, 'verified-email' as const),
  authoritativeFor: fc.subarray(['gmail.com', 'Example.com']),
});
/** Which accounts the table lets somebody enter, written another way than the decision is made. */
function isAllowed(
  userId: string,
  { intent, ownerId, email, emailVerified, account }: LinkingFacts,
  allowed: LinkingRules,
) {
  if (ownerId !== null) return userId === ownerId && (intent.kind === 'login' || intent.userId === ownerId);
  if (intent.kind === 'link') return userId === intent.userId;
  const domains = allowed.authoritativeFor.map((domain) => `@${domain.toLowerCase()}`);
  return [
    userId === account?.id,
    account?.isEmailVerified,
    emailVerified === true,
    allowed.link === 'verified-email',
    domains.some((domain) => email?.toLowerCase().endsWith(domain)),
  ].every((condition) => condition === true);
}

describe('any facts and rules', () => {
  it('F62: no account is entered without what the table asks for', () => {
    const entered = new Set<string>();
    fc.assert(
      fc.property(anyFacts, anyRules, (some, allowed) => {
        const decision = linkingOf(some, allowed);
        if (!('userId' in decision)) return;
        entered.add(decision.step);
        expect(isAllowed(decision.userId, some, allowed)).toBe(true);
      }),
      { numRuns: 2_000, seed: 1 },
    );
    // Negative control: the ways in were all reached.
    expect([...entered].sort()).toEqual(['link', 'link-and-log-in', 'linked-before', 'log-in']);
  });

  it('F62: nobody gets an account where sign-up is closed, and none is verified by anything but true', () => {
    fc.assert(
      fc.property(anyFacts, anyRules, (some, allowed) => {
        const { step } = linkingOf(some, allowed);
        if (step !== 'sign-up' && step !== 'prove-address') return;
        expect([allowed.signUp, some.account, some.ownerId, some.intent]).toEqual([true, null, null, LOGIN]);
        expect(step === 'sign-up').toBe(some.emailVerified === true);
      }),
      { numRuns: 5_000, seed: 2 },
    );
  });
});
