import { PostgresUserDirectory, type AuthModuleExtras, type AuthOptions } from 'nestjs-latchkey';
import { MemoryMailer } from 'nestjs-latchkey/testing';
import request, { type Response } from 'supertest';
import { NO_LOGIN_LIMITS, type TestApp } from './app.js';
import { MAIL } from './flows.js';

/** Everybody in these tests comes from one address. */
export const NO_IP_LIMITS: AuthOptions['rateLimits'] = {
  ...NO_LOGIN_LIMITS,
  policies: { ...NO_LOGIN_LIMITS?.policies, register_ip: { limit: 100_000 }, mail_ip: { limit: 100_000 } },
};

export const REGISTRATION: Partial<AuthOptions> & AuthModuleExtras = {
  ...MAIL,
  flows: { registration: {} },
  rateLimits: NO_IP_LIMITS,
};

let addresses = 0;

/** An address that no other test has. */
export const newAddress = (): string => `new${++addresses}@example.com`;

/** The cookies by name that a browser has after this answer. */
export function cookiesOf(answer: Response): Record<string, string> {
  const pairs = (answer.get('Set-Cookie') ?? []).map((one) => one.slice(0, one.indexOf(';')));
  return Object.fromEntries(pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]));
}

export const FLOW_COOKIE = '__Host-session-register';

/** One browser: it keeps what is set, and sends it along. */
export class Browser {
  private cookies: Record<string, string> = {};

  constructor(protected readonly t: Pick<TestApp, 'app' | 'url'>) {}

  post(path: string, body: object | string, headers: Record<string, string> = {}): Promise<Response> {
    return this.send('post', path, body, headers);
  }

  async send(
    method: 'get' | 'post' | 'delete',
    path: string,
    body?: object | string,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    const cookie = Object.entries(this.cookies)
      .filter(([, value]) => value !== '')
      .map(([name, value]) => `${name}=${value}`)
      .join('; ');
    const agent = request(this.t.url);
    const answer = await agent[method](`/auth/${path}`)
      .set(headers)
      .set(cookie ? { Cookie: cookie } : {})
      .send(body);
    this.cookies = { ...this.cookies, ...cookiesOf(answer) };
    return answer;
  }

  cookie(name: string): string | undefined {
    return this.cookies[name];
  }

  setCookie(name: string, value: string): void {
    this.cookies[name] = value;
  }

  /** Asks for an account; the mail that came of it. */
  async register(email: string, password?: string) {
    const answer = await this.post('register', { email, password });
    if (answer.status !== 202) throw new Error(`register answered ${answer.status}: ${answer.text}`);
    return mailTo(this.t, email);
  }

  confirm(body: object): Promise<Response> {
    return this.post('register/confirm', body);
  }
}

/** The last mail of this kind to this address. */
export async function mailTo(
  { app }: Pick<TestApp, 'app'>,
  email: string,
  kind: 'registration' | 'magic_link' = 'registration',
) {
  const mail = (await MemoryMailer.of(app)).to(email).findLast((one) => one.kind === kind);
  if (mail?.kind !== 'registration' && mail?.kind !== 'magic_link') throw new Error(`No ${kind} to ${email}.`);
  return { token: mail.token, code: mail.code!, link: mail.link, text: mail.text };
}

export const kindsTo = async ({ app }: Pick<TestApp, 'app'>, email: string): Promise<string[]> =>
  (await MemoryMailer.of(app)).to(email).map(({ kind }) => kind);

export const accountOf = ({ app }: Pick<TestApp, 'app'>, email: string) =>
  app.get(PostgresUserDirectory).findByLogin(email);
