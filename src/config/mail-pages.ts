import type { LinkedMailKind } from '../mail/mail.js';
import type { MailPages } from './mail-settings.js';

/** Those of `flows.pages` that mailed links open, by the last part of their path, and the flows that bring each. */
const OWN_PAGES: Readonly<
  Partial<Record<LinkedMailKind, { readonly page: string; readonly flows: readonly string[] }>>
> = {
  registration: { page: 'confirm', flows: ['registration'] },
  password_reset: { page: 'reset', flows: ['passwordReset'] },
  email_change: { page: 'confirm-email', flows: ['emailChange'] },
  email_changed: { page: 'revert-email', flows: ['emailChange'] },
  first_factor_added: { page: 'revert-factor', flows: ['twoFactor', 'passkeys'] },
  magic_link: { page: 'link', flows: ['magicLink'] },
};

/**
 * Where the links of mails lead while these flows have routes: below `routes.path`, without a global prefix. A kind whose
 * page is not mounted is missing; without `pages` among the flows all are.
 */
export function mailPagesBelow(path: unknown, routed: readonly string[]): MailPages {
  if (!routed.includes('pages')) return {};
  const base = `/${String(path)}`.replaceAll(/\/+/g, '/').replace(/\/$/, '');
  const mounted = Object.entries(OWN_PAGES).filter(([, { flows }]) => flows.some((flow) => routed.includes(flow)));
  return Object.fromEntries(mounted.map(([kind, { page }]) => [kind, `${base}/p/${page}`]));
}

/** The flow whose routes bring the page of this kind among `flows.pages`. */
export const flowOfMailPage = (kind: LinkedMailKind): string | undefined => OWN_PAGES[kind]?.flows[0];
