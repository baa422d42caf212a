import { isLocalPath } from '../common/local-path.js';

/** The pages that can be gone back to, by the last part of their path. */
const PAGE_NAMES = [
  'account',
  'password',
  'email',
  'authenticator',
  'backup-codes',
  'passkeys',
  'identities',
  'api-keys',
  'delete-account',
  'admin-events',
  'admin-limits',
  'admin',
] as const;
export type PageName = (typeof PAGE_NAMES)[number];

const HOME: PageName = 'account';

/**
 * Where a form leads on: a page of ours by its name, beside this one, or a path of the application. Whatever else was
 * asked for, an address elsewhere above all, becomes the account.
 */
export function destinationOf(next: unknown): string {
  return isPageName(next) || (typeof next === 'string' && isLocalPath(next)) ? next : HOME;
}

/** The page of a form, whose path may begin with its name: `api-keys-revoke` is of `api-keys`. */
export function pageOf(action: string): PageName {
  return PAGE_NAMES.find((name) => action === name || action.startsWith(`${name}-`)) ?? HOME;
}

function isPageName(name: unknown): name is PageName {
  return (PAGE_NAMES as readonly unknown[]).includes(name);
}

/** `?next=` for a link or a redirect, or nothing where it leads to what is the default anyway. */
export function withNext(page: string, next: string): string {
  return next === HOME ? page : `${page}${page.includes('?') ? '&' : '?'}next=${encodeURIComponent(next)}`;
}
