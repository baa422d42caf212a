import assert from 'node:assert/strict';
import type { INestApplication } from '@nestjs/common';
import { ApplicationConfig } from '@nestjs/core';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import type { Mail, MailKind } from '../mail/mail.js';
import { PasswordHasher } from '../user/password-hasher.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';
import { MemoryMailer } from './memory-mailer.js';
import { signInAs } from './sign-in-as.js';
import { totpOf } from './totp-of.js';

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

  /** An account with this password. */
  async account(password: string): Promise<AuthUser> {
    const passwordHash = await this.app.get(PasswordHasher, { strict: false }).hash(password);
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

  async mails(address: string): Promise<number> {
    return (await MemoryMailer.of(this.app)).to(address).length;
  }
}

export type Rule = readonly [title: string, rule: (contract: Contract) => Promise<void>];

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
