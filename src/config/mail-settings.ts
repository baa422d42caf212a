import { hours, seconds, type Duration } from '../common/duration.js';
import { isLocalPath } from '../common/local-path.js';
import type { LinkedMailKind, MailTexts } from '../mail/mail.js';
import { isRecord, type OptionChecker } from './option-checker.js';

/** The page that each kind of link leads to: a path below `baseUrl`. */
export type MailPages = Partial<Record<LinkedMailKind, string>>;

/** What is mailed, and how much of it at once. Needs `mailer`. */
export class MailSettings {
  /** What the texts call the application. Default: the host of `baseUrl`. */
  site: string | undefined = undefined;

  /**
   * The pages that the links lead to, such as `{ password_reset: '/reset-password' }`. The link is `baseUrl`, the path
   * and `#` with the token, so that the token reaches no server before the page sends it. The page must only ask for a
   * click: mail scanners open every link. Default: with `flows.pages` those pages, else none.
   */
  pages: MailPages = {};

  /** Texts of your own, by kind of mail; the others stay English. Default none. */
  texts: Partial<MailTexts> = {};

  /**
   * What the texts call a second factor, by its method, such as `{ totp: 'Authenticator-App' }`: in another language, and
   * for factors of your own, whose method stands there otherwise. Default: those of the module in English.
   */
  factorNames: Readonly<Record<string, string>> = {};

  /** How long the mailer may take for one mail. After that it counts as failed, and its token is void. Default 30 s. */
  timeout: Duration = seconds(30);

  /** How many mails are sent at once. Default 8. */
  concurrency: number = 8;

  /** How many more may wait. Further ones are dropped as if they had failed, and counted. Default 1,000. */
  queue: number = 1_000;

  /** How long a shutdown waits for mails before it gives up those that are left. Default 10 s. */
  shutdownTimeout: Duration = seconds(10);
}

/** `undefined` without a mailer: then nothing is mailed. */
export function checkMail(
  check: OptionChecker,
  written: Partial<MailSettings> | undefined,
  mailer: unknown,
  baseUrl: string | undefined,
  ownPages: MailPages = {},
): MailSettings | undefined {
  const mail = check.settings('mail', new MailSettings(), written);
  if (mailer === undefined) {
    check.that(written === undefined, 'mail needs mailer: a class that extends Mailer.');
    return undefined;
  }
  check.that(
    typeof mailer === 'function',
    'mailer must be a class that extends Mailer, not an instance: the module makes it, so that it can inject.',
  );
  check.that(
    baseUrl !== undefined,
    'mailer needs baseUrl: every mailed link is built from it, and none from a request.',
  );
  const { site, pages, texts, factorNames } = mail;
  check.that(
    site === undefined || (typeof site === 'string' && /^[^\p{Cc}\p{Zl}\p{Zp}]{1,100}$/u.test(site)),
    'mail.site must be a name on one line, of at most 100 characters.',
  );
  if (check.record('mail.pages', pages)) {
    for (const [kind, path] of Object.entries(pages)) {
      check.that(
        path === undefined || (isLocalPath(path) && !path.includes('#')),
        `mail.pages.${kind} must be a path of this application such as '/reset-password', without '#': the token follows it.`,
      );
    }
  }
  if (check.record('mail.texts', texts)) {
    for (const [kind, text] of Object.entries(texts)) {
      check.that(
        text === undefined || typeof text === 'function',
        `mail.texts.${kind} must be a function that returns { subject, text }.`,
      );
    }
  }
  if (check.record('mail.factorNames', factorNames)) {
    for (const [method, name] of Object.entries(factorNames)) {
      check.that(
        typeof name === 'string' && /^[^\p{Cc}\p{Zl}\p{Zp}]{1,100}$/u.test(name),
        `mail.factorNames.${method} must be a name on one line, of at most 100 characters.`,
      );
    }
  }
  for (const name of ['timeout', 'shutdownTimeout'] as const) {
    check.duration(`mail.${name}`, mail[name]);
    check.that(!(Number.isFinite(mail[name]) && mail[name] > hours(1)), `mail.${name} must be an hour at most.`);
  }
  check.integer('mail.concurrency', mail.concurrency, 1, 1_000);
  check.integer('mail.queue', mail.queue, 0, 1_000_000);
  return {
    ...mail,
    pages: Object.freeze(isRecord(pages) ? { ...ownPages, ...pages } : {}),
    texts: Object.freeze(isRecord(texts) ? { ...texts } : {}),
    factorNames: Object.freeze(isRecord(factorNames) ? { ...factorNames } : {}),
  };
}
