import { Controller, Delete } from '@nestjs/common';
import { days, RequireAal, type AuthModuleExtras, type AuthOptions, type AuthUser } from 'nestjs-latchkey';
import { MemoryMailer } from 'nestjs-latchkey/testing';
import type { Response } from 'supertest';
import { EmailFactorStore } from '../../src/two-factor/email-factor.store.js';
import { PASSWORD, type TestApp } from './app.js';
import { MAIL } from './flows.js';
import { Browser, NO_IP_LIMITS } from './registration.js';

/** Codes by mail and trusted browsers, and what they meet. */
export const MAILED_CODES: Partial<AuthOptions> & AuthModuleExtras = {
  ...MAIL,
  flows: { twoFactor: { emailCode: {}, trustedBrowsers: days(30) }, stepUp: {}, passwordChange: {} },
  rateLimits: NO_IP_LIMITS,
};

export const TRUSTED = '__Host-session-trusted';
export const SESSION = '__Host-session';

/** A handler for which one factor is not enough. */
@Controller('safe')
export class SafeController {
  @RequireAal(2)
  @Delete()
  empty() {
    return {};
  }
}

/** The code of the last mail of this kind to this user. */
export async function codeTo(
  { app }: Pick<TestApp, 'app'>,
  { email }: AuthUser,
  kind: 'login_code' | 'email_code_setup' = 'login_code',
): Promise<string> {
  const mail = (await MemoryMailer.of(app)).to(email).findLast((one) => one.kind === kind);
  if (!mail || !('code' in mail) || mail.code === undefined) throw new Error(`No ${kind} to ${email}.`);
  return mail.code;
}

/** As after `POST 2fa/email/enable/confirm`. */
export async function mailCodesTo({ app, clock }: TestApp, { id }: AuthUser): Promise<void> {
  await app.get(EmailFactorStore).enable(id, clock.now());
}

/** A browser that logs in with a password and a mailed code. */
export class CodeBrowser extends Browser {
  first(user: AuthUser, password = PASSWORD): Promise<Response> {
    return this.post('login', { email: user.email, password });
  }

  /** The token of a login whose second step is due. */
  async pending(user: AuthUser): Promise<string> {
    const { body } = await this.first(user);
    if (body.status !== 'second_factor') throw new Error(`The login answered ${JSON.stringify(body)}.`);
    return body.token as string;
  }

  ask(token: string): Promise<Response> {
    return this.post('2fa/send', { token, method: 'email-code' });
  }

  /** A held login, and the code that was mailed for it. */
  async asked(user: AuthUser): Promise<{ token: string; code: string }> {
    const token = await this.pending(user);
    const { status } = await this.ask(token);
    if (status !== 202) throw new Error(`2fa/send answered ${status}.`);
    return { token, code: await codeTo(this.t, user) };
  }

  verify(token: string, code: string, more: object = {}): Promise<Response> {
    return this.post('2fa/verify', { token, method: 'email-code', code, ...more });
  }

  /** Both steps. */
  async logIn(user: AuthUser, more: object = {}): Promise<Response> {
    const { token, code } = await this.asked(user);
    const answer = await this.verify(token, code, more);
    if (answer.status !== 200) throw new Error(`2fa/verify answered ${answer.status}: ${answer.text}`);
    return answer;
  }
}
