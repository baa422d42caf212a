import type { AuthModuleExtras, AuthOptions } from 'nestjs-latchkey';
import type { Response } from 'supertest';
import { MAIL } from './flows.js';
import { Browser, mailTo, NO_IP_LIMITS } from './registration.js';

/** Logins by mailed links, and what they meet. */
export const MAGIC_LINK: Partial<AuthOptions> & AuthModuleExtras = {
  ...MAIL,
  flows: { magicLink: {}, passwordChange: {}, passwordReset: {}, twoFactor: { totp: {}, backupCodes: {} } },
  rateLimits: NO_IP_LIMITS,
};

export const LINK_COOKIE = '__Host-session-link';

/** A browser that logs in by a mailed link or code. */
export class LinkBrowser extends Browser {
  /** Asks for a link; the mail that came of it. */
  async ask(email: string, more: object = {}) {
    const answer = await this.post('magic-link', { email, ...more });
    if (answer.status !== 202) throw new Error(`magic-link answered ${answer.status}: ${answer.text}`);
    return mailTo(this.t, email, 'magic_link');
  }

  override confirm(body: object): Promise<Response> {
    return this.post('magic-link/confirm', body);
  }
}
