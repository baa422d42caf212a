import type { MailSettings } from '../config/mail-settings.js';
import { mailboxOf } from '../user/email-address.js';
import { factorNameOf, MAIL_TEXTS } from './mail-texts.js';
import type { Mail, MailDraft, MailedFactor, MailText } from './mail.js';

type Texts = Pick<MailSettings, 'site' | 'pages' | 'texts' | 'factorNames'>;
type AnyText = (content: object) => MailText;

/**
 * The finished mail, or `null` if its address is not exactly one mailbox. The link is built from `baseUrl` alone, with
 * the token in its fragment, which no browser sends (OWASP ASVS 14.2.1).
 *
 * @throws {TypeError} if `missingSetting` names one.
 * @throws whatever a text of the application throws.
 */
export function composeMail(
  { kind, to, userId = null, facts }: MailDraft,
  baseUrl: string,
  { site = new URL(baseUrl).host, pages, texts, factorNames }: Texts,
): Mail | null {
  const address = mailboxOf(to);
  if (address === null) return null;
  const content = { ...facts, ...linkOf(kind, facts, baseUrl, pages), ...factorOf(facts, factorNames), site };
  const { subject, text: body, html } = textOf(kind, texts)!(content);
  // Not frozen: nodemailer normalizes the address where it stands.
  return {
    ...content,
    kind,
    userId,
    to: { name: '', address },
    subject: onOneLine(subject),
    text: body,
    ...(html === undefined ? {} : { html }),
  } as Mail;
}

/** The setting without which this mail cannot be written, as a remedy; `null` if there is none. */
export function missingSetting(
  { kind, facts }: MailDraft,
  { pages, texts }: Pick<Texts, 'pages' | 'texts'>,
): string | null {
  if (!textOf(kind, texts)) return `There is no text for mails of kind '${kind}': add mail.texts.${kind}.`;
  if (!('token' in facts) || own(pages, kind) !== undefined) return null;
  return `Mails of kind '${kind}' have a link: say which page it leads to in mail.pages.${kind}.`;
}

function textOf(kind: string, texts: object): AnyText | undefined {
  return (own(texts, kind) ?? own(MAIL_TEXTS, kind)) as AnyText | undefined;
}

function linkOf(kind: string, facts: object, baseUrl: string, pages: object): { link?: string } {
  return 'token' in facts ? { link: `${baseUrl}${String(own(pages, kind))}#${String(facts.token)}` } : {};
}

function factorOf(facts: object, names: Readonly<Record<string, string>>): { factorName?: string } {
  return 'factor' in facts ? { factorName: factorNameOf(facts as MailedFactor, names) } : {};
}

/** A line break in a subject would begin another header (RFC 5322 2.2). */
function onOneLine(subject: string): string {
  return subject.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').trim();
}

function own(record: object, key: string): unknown {
  return Object.hasOwn(record, key) ? (record as Record<string, unknown>)[key] : undefined;
}
