import assert from 'node:assert/strict';
import type { INestApplication } from '@nestjs/common';
import { ApplicationConfig } from '@nestjs/core';
import { isAuthError } from '../../auth.errors.js';
import { Clock } from '../../common/clock.js';
import { AuthConfig } from '../../config/auth-config.js';
import type { FlowName } from '../../config/flow-settings.js';
import { PasswordAttempts } from '../../login/password-attempts.js';
import { PasswordLogin } from '../../login/password-login.js';
import type { Mail, MailKind } from '../../mail/mail.js';
import { Outbox } from '../../mail/outbox.js';
import { RateLimitService } from '../../rate-limit/rate-limit.service.js';
import { PasswordHasher } from '../../user/password-hasher.js';
import { NO_PASSWORD, UserDirectory, type AuthUser } from '../../user/user.directory.js';
import { MemoryMailer } from '../memory-mailer.js';
import { signInAs } from '../sign-in-as.js';
import { totpOf } from '../totp-of.js';

// What the rules of `flowContract` are written with.

export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly body: Record<string, unknown>;
  readonly headers: Headers;
}

/** One browser: it keeps the cookies that are set. */
export class Browser {
  private readonly cookies = new Map<string, string>();

  constructor(private readonly base: string) {}

  has(name: string): boolean {
    return (this.cookies.get(name) ?? '') !== '';
  }

  /** The Cookie header with this one alone. */
  cookie(name: string): string {
    return `${name}=${this.cookies.get(name) ?? ''}`;
  }

  /** Sends it with the cookies, or with this Cookie header in place of them. */
  async send(method: string, path: string, body?: object, cookie?: string, more: object = {}): Promise<Answer> {
    const own = [...this.cookies].filter(([, value]) => value !== '').map(([name, value]) => `${name}=${value}`);
    const headers = {
      ...(body && { 'Content-Type': 'application/json' }),
      Cookie: cookie ?? own.join('; '),
      ...more,
    };
    const answer = await fetch(`${this.base}/${path}`, {
      method,
      headers,
      redirect: 'manual',
      ...(body && { body: JSON.stringify(body) }),
    });
    for (const set of answer.headers.getSetCookie()) {
      const [pair] = set.split(';', 1) as [string];
      this.cookies.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1));
    }
    const text = await answer.text();
    return { status: answer.status, text, body: jsonOf(text), headers: answer.headers };
  }

  post(path: string, body: object, cookie?: string): Promise<Answer> {
    return this.send('POST', path, body, cookie);
  }
}

function jsonOf(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** The application, and what the rules do with it. */
export class Contract {
  readonly users: UserDirectory;
  readonly config: AuthConfig;

  constructor(
    private readonly app: INestApplication,
    readonly email: () => string,
    readonly password: () => string,
  ) {
    this.users = app.get(UserDirectory, { strict: false });
    this.config = app.get(AuthConfig, { strict: false });
  }

  async browser(): Promise<Browser> {
    const prefix = this.app.get(ApplicationConfig, { strict: false }).getGlobalPrefix();
    const path = [prefix, this.config.routes?.path ?? ''].map((part) => part.replaceAll(/^\/+|\/+$/g, ''));
    const url = (await this.app.getUrl()).replace('[::1]', 'localhost');
    return new Browser([url, ...path.filter((part) => part !== '')].join('/'));
  }

  private get now(): number {
    return this.app.get(Clock, { strict: false }).now();
  }

  /** Those that everybody may have. */
  get scopes(): readonly string[] {
    const scopes = this.config.flows.apiKeys?.scopes ?? [];
    if (Array.isArray(scopes)) return scopes as readonly string[];
    return Object.entries(scopes).flatMap(([scope, roles]: [string, readonly string[]]) =>
      roles.length === 0 ? scope : [],
    );
  }

  get offersTotp(): boolean {
    return this.config.flows.twoFactor?.totp !== undefined;
  }

  /** How many wrong codes an account has. */
  get wrongCodes(): number {
    return this.config.rateLimits.policies['2fa_attempt']!.limit;
  }

  /** The code of so many steps from now. */
  totp(secret: string, steps = 0): string {
    return totpOf(secret, { now: () => this.now + steps * 30_000 });
  }

  get sessionCookie(): string {
    return this.config.cookieName;
  }

  /** An account with this password, or with none. */
  async account(password: string | null): Promise<AuthUser> {
    const hasher = this.app.get(PasswordHasher, { strict: false });
    const passwordHash = password === null ? NO_PASSWORD : await hasher.hash(password);
    const user = await this.users.register({ email: this.email(), passwordHash, emailVerifiedAt: this.now });
    assert(user, 'register() of the UserDirectory says that a new address is taken');
    return user;
  }

  logIn(user: AuthUser, age = 0): Promise<string> {
    const context = age === 0 ? {} : { authenticatedAt: this.now - age };
    return signInAs(this.app, user.id, context);
  }

  async isLive(cookie: string): Promise<boolean> {
    const { status } = await (await this.browser()).send('GET', 'session', undefined, cookie);
    assert([200, 401].includes(status), `GET session answered ${status}`);
    return status === 200;
  }

  /** The last mail of this kind to this address, once all have been sent. */
  async mail<Kind extends MailKind>(kind: Kind, address: string): Promise<Mail<Kind>> {
    const mails = (await MemoryMailer.of(this.app)).to(address);
    const mail = mails.findLast((one) => one.kind === kind);
    assert(mail, `there is no mail of kind ${kind} to the address; there are: ${mails.map((one) => one.kind).join()}`);
    return mail as Mail<Kind>;
  }

  /** How many were sent to this address. */
  async mails(address: string): Promise<number> {
    return (await MemoryMailer.of(this.app)).to(address).length;
  }

  /** Nobody at the loopback address has asked for anything yet, so that no rule is refused for what others did. */
  async emptyLimits(): Promise<void> {
    const limits = this.app.get(RateLimitService, { strict: false });
    for (const event of ['register_ip', 'mail_ip', 'password_reset_ip'] as const) {
      for (const subject of ['127.0.0.1', '::1']) await limits.clear(event, subject);
    }
  }

  /** What is asked while the mailer hangs; then it fails. */
  async whileMailHangs<T>(ask: () => Promise<T>): Promise<T> {
    const mailer = await MemoryMailer.of(this.app);
    const send = mailer.send.bind(mailer);
    let fail = () => {};
    const hanging = new Promise<void>((_, reject) => {
      fail = () => reject(new Error('The contract of the flows lets this mail fail.'));
    });
    hanging.catch(() => {});
    mailer.send = () => hanging;
    try {
      return await ask();
    } finally {
      fail();
      await this.app.get(Outbox, { strict: false }).idle();
      mailer.send = send;
    }
  }

  /** What is asked while the directory cannot do this. */
  async whileAway<T>(operation: Extract<keyof UserDirectory, string>, ask: () => Promise<T>): Promise<T> {
    const users = this.users as unknown as Record<string, unknown>;
    const before = users[operation];
    users[operation] = () => Promise.reject(new Error('The contract of the flows lets the directory fail.'));
    try {
      return await ask();
    } finally {
      users[operation] = before;
    }
  }

  /** Whether this password logs in. Not over HTTP, where a failure would make everybody at the address wait. */
  async opens({ email }: AuthUser, password: string): Promise<boolean> {
    const login = this.app.get(PasswordLogin, { strict: false });
    try {
      return (await login.verify(email, password)) !== null;
    } catch (error) {
      if (isAuthError(error, 'INVALID_CREDENTIALS')) return false;
      throw error;
    }
  }

  /** So many wrong passwords that one more would be too many. */
  async disablePassword(user: AuthUser): Promise<void> {
    const attempts = this.app.get(PasswordAttempts, { strict: false });
    const attempt = { login: user.email, ip: null, isKnownDevice: false };
    const wrong = () => attempts.judge(user, attempt, () => Promise.resolve(null));
    for (let i = 0; i < this.config.password.maxFailures; i++) await wrong();
  }
}

/** `needs`: the flows that it takes beside its own. */
export type Rule = readonly [title: string, rule: (contract: Contract) => Promise<void>, needs?: readonly FlowName[]];

export const isSame = (one: Answer, other: Answer, what: string) => {
  const shown = ({ status, text, headers }: Answer) => [
    status,
    text,
    headers.get('location'),
    [...headers.keys()].toSorted(),
  ];
  assert.deepEqual(shown(one), shown(other), `${what} is answered otherwise`);
};
export const is = ({ status, body }: Answer, expected: number, code?: string) => {
  assert.deepEqual([status, code && body['code']], [expected, code], `the answer is ${status} ${String(body['code'])}`);
};
export const DAY = 86_400_000;

/** What no policy may take for the account of this address: too short, common, or the address itself. */
export const weakPasswords = (email: string): readonly string[] => ['a7~', 'password', 'qwertyuiop123', email];
