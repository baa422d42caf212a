import { days, hours, minutes, type Duration } from '../common/duration.js';
import { INVISIBLE } from '../user/login-name.js';
import type { MailedFactor, MailTexts } from './mail.js';

const MAX_NAME_LENGTH = 60;

/** The English texts, each of which `mail.texts` can replace. None asks for a password or contains a secret but its own. */
export const MAIL_TEXTS: Readonly<Partial<MailTexts>> = Object.freeze({
  registration: ({ site, link, code, validFor }) => ({
    subject: `Confirm your e-mail address for ${site}`,
    text: paragraphs(
      `Somebody, probably you, wants to open an account at ${site} with this e-mail address. Open this link to confirm it:`,
      link,
      code && `Or type this code into the page that you came from: ${code}`,
      `${itWorks(validFor)} If it was not you, do nothing: without it there is no account.`,
    ),
  }),
  already_registered: ({ site }) => ({
    subject: `You already have an account at ${site}`,
    text: paragraphs(
      `Somebody, probably you, wanted to open an account at ${site} with this e-mail address. There is one already: log in with it. If you have forgotten its password, ask for a new one on the login page.`,
      'If it was not you, do nothing: nothing has changed.',
    ),
  }),
  password_reset: ({ site, link, validFor }) => ({
    subject: `Choose a new password for ${site}`,
    text: paragraphs(
      `Somebody, probably you, has asked for a new password for your account at ${site}. Open this link to choose one:`,
      link,
      `${itWorks(validFor)} If it was not you, do nothing: your password has not changed.`,
    ),
  }),
  no_password: ({ site }) => ({
    subject: `How to log in to ${site}`,
    text: paragraphs(
      `Somebody, probably you, has asked for a new password for your account at ${site}. The account has no password: log in as you did before, with a passkey or with the provider that you registered with.`,
      'If it was not you, do nothing: nothing has changed.',
    ),
  }),
  password_changed: ({ site }) =>
    notice(`Your password for ${site} was changed`, `The password of your account at ${site} was changed.`),
  password_disabled: ({ site, exceptKnownPlaces }) => ({
    subject: `Your password for ${site} no longer works`,
    text: paragraphs(
      `Somebody has tried so many wrong passwords for your account at ${site} that its password no longer opens it.`,
      exceptKnownPlaces && 'It still works where you have logged in before.',
      'Choose a new one on the login page, under "forgotten password". Other ways to log in still work.',
    ),
  }),
  email_change: ({ site, link, validFor }) => ({
    subject: `Confirm your new e-mail address for ${site}`,
    text: paragraphs(
      `Somebody, probably you, wants to use this e-mail address for an account at ${site}. Open this link to confirm it:`,
      link,
      `${itWorks(validFor)} If it was not you, do nothing: the account keeps its old address.`,
    ),
  }),
  email_changed: ({ site, link, validFor }) => ({
    subject: `Your e-mail address for ${site} was changed`,
    text: paragraphs(
      `Your account at ${site} now has another e-mail address, and this one is no longer used for it.`,
      'If it was you, do nothing. If it was not, open this link: it brings this address back, logs everybody out and lets you choose a new password.',
      link,
      itWorks(validFor),
    ),
  }),
  email_reverted: ({ site }) =>
    notice(
      `Your e-mail address for ${site} was changed back`,
      `The change of the e-mail address of your account at ${site} was taken back. Everybody was logged out.`,
    ),
  account_deleted: ({ site }) => ({
    subject: `Your account at ${site} was deleted`,
    text: paragraphs(`Your account at ${site} was deleted. If it was not you, write to ${site} at once.`),
  }),
  magic_link: ({ site, link, code, validFor }) => ({
    subject: `Log in to ${site}`,
    text: paragraphs(
      `Somebody, probably you, wants to log in to ${site}. Open this link in the browser that you came from:`,
      link,
      code && `Or type this code there: ${code}`,
      `${itWorks(validFor)} If it was not you, do nothing, and give the link to nobody.`,
    ),
  }),
  login_code: ({ site, code, validFor }) => ({
    subject: `Your code for ${site}`,
    text: paragraphs(
      `Your code to log in to ${site}: ${code}`,
      `${itWorks(validFor)} Give it to nobody. If it was not you, somebody knows your password: change it.`,
    ),
  }),
  email_code_setup: ({ site, code, validFor }) => ({
    subject: `Your code for ${site}`,
    text: paragraphs(
      `Your code to turn on codes by e-mail at ${site}: ${code}`,
      `${itWorks(validFor)} Give it to nobody. If it was not you, somebody is logged in to your account: change your password.`,
    ),
  }),
  factor_added: ({ site, factorName }) =>
    notice(
      `Your login at ${site} was changed`,
      `Your account at ${site} has another way to prove that it is you: ${factorName}.`,
    ),
  first_factor_added: ({ site, factorName, link, validFor }) => ({
    subject: `Your login at ${site} was changed`,
    text: paragraphs(
      `Somebody, probably you, has set up a second step for your account at ${site}: ${factorName}. From now on it is asked for.`,
      'If it was you, do nothing. If it was not, open this link: it removes that again, logs everybody out and lets you choose a new password.',
      link,
      itWorks(validFor),
    ),
  }),
  factor_removed: ({ site, factorName }) =>
    notice(
      `Your login at ${site} was changed`,
      `Your account at ${site} no longer has this way to prove that it is you: ${factorName}.`,
    ),
  factor_disabled: ({ site, factorName }) => ({
    subject: `A way to log in to ${site} no longer works`,
    text: paragraphs(
      `Somebody has tried so many wrong codes for your account at ${site} that this way to prove that it is you no longer works: ${factorName}.`,
      'Whoever did that knows your password: change it. Log in with a backup code, or another way that you have.',
    ),
  }),
  backup_codes_replaced: ({ site }) =>
    notice(
      `You have new backup codes for ${site}`,
      `Your account at ${site} has new backup codes. The earlier ones no longer work.`,
    ),
  passkey_clone_suspected: ({ site, name }) => ({
    subject: `A passkey for ${site} may have been copied`,
    text: paragraphs(
      `Your passkey ${quoted(name)} for ${site} was used in a way that suggests a copy of it. That login was refused.`,
      'Remove the passkey from your account, and add a new one.',
    ),
  }),
  identity_linked: ({ site, provider }) => ({
    subject: `Your login at ${site} was changed`,
    text: paragraphs(
      `A login by ${quoted(provider)} now opens your account at ${site}.`,
      'If it was you, do nothing. If it was not, log in and remove it from your account at once, then choose a new password: a new password alone does not remove it.',
    ),
  }),
  identity_unlinked: ({ site, provider }) =>
    notice(
      `Your login at ${site} was changed`,
      `A login by ${quoted(provider)} no longer opens your account at ${site}.`,
    ),
  api_key_created: ({ site, name }) =>
    notice(`There is a new API key for ${site}`, `Your account at ${site} has a new API key: ${quoted(name)}.`),
  api_key_revoked: ({ site, name }) =>
    notice(
      `An API key for ${site} was revoked`,
      `This API key of your account at ${site} no longer works: ${quoted(name)}.`,
    ),
} satisfies Partial<MailTexts>);

/** What people call the second factors of the module, by their methods. */
const FACTOR_NAMES: Readonly<Record<string, string>> = {
  totp: 'authenticator app',
  'email-code': 'codes by e-mail',
  'backup-code': 'backup codes',
  passkey: 'passkey',
};

/** What a person calls this factor: by `names` of the application, or else in English; the method if nobody knows it. */
export function factorNameOf({ factor, name }: MailedFactor, names: Readonly<Record<string, string>>): string {
  const known = [names, FACTOR_NAMES].find((one) => Object.hasOwn(one, factor))?.[factor] ?? quoted(factor);
  return name === undefined ? known : `${known} ${quoted(name)}`;
}

function notice(subject: string, what: string) {
  return {
    subject,
    text: paragraphs(
      what,
      'If it was you, do nothing. If it was not, choose a new password on the login page at once.',
    ),
  };
}

function paragraphs(...texts: (string | false | undefined)[]): string {
  return `${texts.filter((text) => Boolean(text)).join('\n\n')}\n`;
}

/** A name that somebody chose: short, on one line, and recognisable as a quotation. */
function quoted(name: string): string {
  const visible = Array.from(name, (character) => (INVISIBLE.test(character) ? ' ' : character));
  return `"${visible.slice(0, MAX_NAME_LENGTH).join('').replaceAll('"', "'")}"`;
}

function itWorks(validFor: Duration): string {
  return `It works once, and for ${inWords(validFor)}.`;
}

/** In the largest unit that leaves no rest, rounded down to minutes. */
function inWords(duration: Duration): string {
  const [unit, length] =
    duration >= days(2) && duration % days(1) === 0
      ? (['day', days(1)] as const)
      : duration >= hours(1) && duration % hours(1) === 0
        ? (['hour', hours(1)] as const)
        : (['minute', minutes(1)] as const);
  const count = Math.max(1, Math.floor(duration / length));
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}
