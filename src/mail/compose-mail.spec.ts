import { describe, expect, it } from '@jest/globals';
import { days, hours, minutes } from '../common/duration.js';
import { composeMail, missingSetting } from './compose-mail.js';
import { MAIL_TEXTS } from './mail-texts.js';
import type { MailDraft, MailKind } from './mail.js';

const BASE_URL = 'https://app.example.com';
const TOKEN = 'A'.repeat(43);
const NONE = { site: undefined, pages: {}, texts: {}, factorNames: {} };
const PAGES = { password_reset: '/reset-password' };

const reset = (to = 'ada@example.com'): MailDraft => ({
  kind: 'password_reset',
  to,
  userId: '7',
  facts: { token: TOKEN, validFor: hours(1) },
});

/** One draft of each kind; a kind that is missing does not compile. */
const EVERY: { [Kind in MailKind]: MailDraft<Kind>['facts'] } = {
  registration: { token: TOKEN, code: 'BCDF-GHJK', validFor: days(1) },
  already_registered: {},
  password_reset: { token: TOKEN, validFor: hours(1) },
  no_password: {},
  password_changed: {},
  password_disabled: { exceptKnownPlaces: false },
  email_change: { token: TOKEN, validFor: hours(1) },
  email_changed: { token: TOKEN, validFor: days(7) },
  email_reverted: {},
  account_deleted: {},
  magic_link: { token: TOKEN, code: 'BCDF-GHJK', validFor: minutes(10) },
  login_code: { code: '123456', validFor: minutes(10) },
  email_code_setup: { code: '123456', validFor: minutes(10) },
  factor_added: { factor: 'totp' },
  first_factor_added: { token: TOKEN, validFor: days(7), factor: 'totp' },
  factor_removed: { factor: 'totp' },
  factor_disabled: { factor: 'totp' },
  backup_codes_replaced: {},
  passkey_clone_suspected: { name: 'My phone' },
  identity_linked: { provider: 'Google' },
  identity_unlinked: { provider: 'Google' },
  api_key_created: { name: 'build server' },
  api_key_revoked: { name: 'build server' },
};
const everyDraft = Object.entries(EVERY).map(
  ([kind, facts]) => ({ kind, to: 'ada@example.com', facts }) as unknown as MailDraft,
);
const everyPage = Object.fromEntries(Object.keys(EVERY).map((kind) => [kind, `/page/${kind}`]));

describe('composeMail', () => {
  it('is addressed to one mailbox, says what it is about, and carries the facts for templates', () => {
    expect(composeMail(reset(), BASE_URL, { ...NONE, pages: PAGES })).toEqual({
      kind: 'password_reset',
      userId: '7',
      to: { name: '', address: 'ada@example.com' },
      subject: 'Choose a new password for app.example.com',
      text: expect.stringContaining('It works once, and for 1 hour.'),
      token: TOKEN,
      validFor: hours(1),
      link: `${BASE_URL}/reset-password#${TOKEN}`,
      site: 'app.example.com',
    });
  });

  it('F19: the token is in the fragment of the link, and nowhere else in it', () => {
    const mail = composeMail(reset(), BASE_URL, { ...NONE, pages: { password_reset: '/app/reset?from=mail' } })!;
    const link = new URL((mail as { link: string }).link);
    expect(link.hash).toBe(`#${TOKEN}`);
    expect(link.href.replace(link.hash, '')).toBe(`${BASE_URL}/app/reset?from=mail`);
    expect(mail.text).toContain(`\n${link.href}\n`);
  });

  it.each(everyDraft.map((draft) => [draft.kind, draft] as const))('%s has a text of its own', (_, draft) => {
    const { subject, text, link, code } = composeMail(draft, BASE_URL, {
      site: 'Notes',
      pages: everyPage,
      texts: {},
      factorNames: {},
    }) as unknown as Record<'subject' | 'text' | 'link' | 'code', string>;
    expect(subject).toMatch(/^.{5,70}$/);
    expect(subject).toContain('Notes');
    expect(text).toContain('Notes');
    expect(text.split('\n').filter((line) => /undefined|\[object|NaN/.test(line))).toEqual([]);
    expect(text.endsWith('\n')).toBe(true);
    const { token } = draft.facts as { token?: string };
    expect(link).toBe(token === undefined ? undefined : `${BASE_URL}/page/${draft.kind}#${token}`);
    for (const part of [link, code]) if (part !== undefined) expect(text).toContain(part);
  });

  it('F26: a notice contains no secret: no link, no code, nothing but names', () => {
    const notices = everyDraft.filter(({ facts }) => !('token' in facts) && !('code' in facts));
    expect(notices.length).toBeGreaterThan(10);
    for (const draft of notices) {
      expect(composeMail(draft, BASE_URL, NONE)!.text).not.toMatch(/https?:|#|[A-Za-z0-9_-]{20}/);
    }
  });

  it('a name that somebody chose stays a quotation on one line', () => {
    const facts = { name: 'x"\r\nBcc: eve@example.com\n\nYour account is blocked\u202e, call us' + 'y'.repeat(200) };
    const { text } = composeMail({ kind: 'api_key_created', to: 'ada@example.com', facts }, BASE_URL, NONE)!;
    const [line] = text.split('\n');
    expect(line).toMatch(/"x' {2}Bcc: eve@example.com {2}Your account is blocked , call usy*"\.$/);
    expect(line!.length).toBeLessThan(150);
  });

  it.each<[string, string, { factor: string; name?: string }, Record<string, string>]>([
    ['a method by its name', 'authenticator app', { factor: 'totp' }, {}],
    ['codes by mail', 'codes by e-mail', { factor: 'email-code' }, {}],
    [
      'a passkey by the name that its user gave it',
      `passkey "Ada's laptop"`,
      { factor: 'passkey', name: "Ada's laptop" },
      {},
    ],
    ['by the name of the application', 'Authenticator-App', { factor: 'totp' }, { totp: 'Authenticator-App' }],
    ['one of the application', 'security token', { factor: 'hardware-token' }, { 'hardware-token': 'security token' }],
    ['what nobody has named as a quotation', '"hardware-token"', { factor: 'hardware-token' }, {}],
  ])('a factor is called what people call it: %s', (_, name, facts, factorNames) => {
    for (const kind of ['factor_added', 'factor_removed', 'factor_disabled'] as const) {
      const { text } = composeMail({ kind, to: 'ada@example.com', facts }, BASE_URL, { ...NONE, factorNames })!;
      expect(text).toContain(`: ${name}.\n`);
    }
    const first = { token: TOKEN, validFor: days(7), ...facts };
    const draft: MailDraft = { kind: 'first_factor_added', to: 'ada@example.com', facts: first };
    expect(composeMail(draft, BASE_URL, { ...NONE, pages: everyPage, factorNames })!.text).toContain(`: ${name}. From`);
  });

  it('a subject stays one header', () => {
    const texts = { no_password: () => ({ subject: 'Hello\r\nBcc: eve@example.com\u2028', text: 'x' }) };
    const draft: MailDraft = { kind: 'no_password', to: 'ada@example.com', facts: {} };
    expect(composeMail(draft, BASE_URL, { ...NONE, texts })!.subject).toBe('Hello Bcc: eve@example.com');
  });

  it('a text of the application takes the place of ours, with html if it has some', () => {
    const texts = {
      password_reset: ({ link, site }: { link: string; site: string }) => ({
        subject: `Neues Passwort für ${site}`,
        text: link,
        html: `<a href="${link}">weiter</a>`,
      }),
    };
    const mail = composeMail(reset(), BASE_URL, { ...NONE, site: 'Notizen', pages: PAGES, texts })!;
    expect(mail).toMatchObject({ subject: 'Neues Passwort für Notizen', text: `${BASE_URL}/reset-password#${TOKEN}` });
    expect(mail.html).toContain('<a href=');
    const other: MailDraft = { kind: 'no_password', to: 'ada@example.com', facts: {} };
    expect(composeMail(other, BASE_URL, { ...NONE, texts })!.subject).toBe('How to log in to app.example.com');
  });

  it.each([
    ['two at a comma', 'ada@example.com,eve@example.com'],
    ['two at a semicolon', 'ada@example.com;eve@example.com'],
    ['a display name', 'Ada <ada@example.com>'],
    ['a header', 'ada@example.com\r\nBcc: eve@example.com'],
    ['a quoted local part', '"eve@example.com,"@example.com'],
    ['a comment', 'ada(eve@example.com)@example.com'],
    ['a right-to-left override', 'ada\u202e@example.com'],
    ['a full-width comma', 'ada@example.com，eve@example.com'],
    ['letters that NFKC makes those of another mailbox', 'ａda@example.com'],
    ['nothing', ''],
  ])('F17: to %s nothing is written', (_, to) => {
    expect(composeMail(reset(to), BASE_URL, { ...NONE, pages: PAGES })).toBeNull();
  });

  it.each([
    ['Ada.Lovelace@Example.com', 'Ada.Lovelace@example.com'],
    ['zoe\u0308@example.com', 'zoë@example.com'],
    ['user@пример.рф', 'user@xn--e1afmkfd.xn--p1ai'],
  ])('F17: %s is written to as %s', (to, address) => {
    expect(composeMail(reset(to), BASE_URL, { ...NONE, pages: PAGES })!.to).toEqual({ name: '', address });
  });

  it('says which setting a mail lacks', () => {
    expect(missingSetting(reset(), NONE)).toMatch(/mail\.pages\.password_reset/);
    expect(missingSetting(reset(), { ...NONE, pages: PAGES })).toBeNull();
    const own = { kind: 'toString', to: 'ada@example.com', facts: {} } as unknown as MailDraft;
    expect(missingSetting(own, NONE)).toMatch(/mail\.texts\.toString/);
    for (const draft of everyDraft) expect(missingSetting(draft, { ...NONE, pages: everyPage })).toBeNull();
    expect(Object.keys(MAIL_TEXTS).toSorted()).toEqual(Object.keys(EVERY).toSorted());
  });
});
