import { INVISIBLE, isCanonicalDomain, MAX_LOGIN_LENGTH, normalizeLogin } from './login-name.js';

/**
 * The local part of one mailbox. Excludes what a mailer reads as the end of an address, a second address, a display
 * name or a comment.
 */
const LOCAL_PART = /^[^\s()<>[\]:;@\\,"]+$/u;
const DOMAIN = /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/;

/**
 * The e-mail address in the spelling of `normalizeLogin`, or `null` for anything but exactly one mailbox: no quoted
 * local part, no address literal, nothing invisible. Whether it exists, only a mail can tell.
 */
export function checkedEmail(text: string): string | null {
  const address = normalizeLogin(text);
  const at = address.lastIndexOf('@');
  const domain = address.slice(at + 1);
  const isOneMailbox =
    [...address].length <= MAX_LOGIN_LENGTH &&
    LOCAL_PART.test(address.slice(0, Math.max(at, 0))) &&
    !INVISIBLE.test(address) &&
    DOMAIN.test(domain) &&
    isCanonicalDomain(domain);
  return isOneMailbox ? address : null;
}

/**
 * Where to write to for an account's stored address: that address with an international domain in its ASCII form, or
 * `null` unless it is exactly one mailbox. An address whose local part `checkedEmail` would spell with other letters is
 * refused too: the one with those letters may be somebody else's.
 */
export function mailboxOf(stored: string): string | null {
  const checked = checkedEmail(stored);
  if (checked === null) return null;
  const local = stored.slice(0, stored.lastIndexOf('@')).normalize('NFC');
  const at = checked.lastIndexOf('@');
  return local.toLowerCase() === checked.slice(0, at) ? `${local}${checked.slice(at)}` : null;
}
