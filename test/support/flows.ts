import { Injectable, type INestApplication } from '@nestjs/common';
import {
  days,
  PostgresUserDirectory,
  seconds,
  type AuthModuleExtras,
  type AuthOptions,
  type AuthUser,
  type Mail,
} from 'nestjs-latchkey';
import { EmailChangeService } from 'nestjs-latchkey/flows';
import { MemoryMailer } from 'nestjs-latchkey/testing';
import { createUser } from './app.js';

export const BASE_URL = 'https://app.example.com';

/** Keeps the mails, as long as no test says what it does instead. */
@Injectable()
export class FailingMailer extends MemoryMailer {
  instead: ((mail: Mail) => Promise<void>) | undefined;
  override send(mail: Mail): Promise<void> {
    return this.instead ? this.instead(mail) : super.send(mail);
  }
}

/** What flows need that mail something: a mailer that keeps the mails, and pages for their links. */
export const MAIL = {
  baseUrl: BASE_URL,
  mailer: MemoryMailer,
  mail: {
    pages: {
      registration: '/confirm',
      password_reset: '/reset',
      magic_link: '/log-in',
      email_change: '/confirm-email',
      email_changed: '/revert-email',
      first_factor_added: '/not-me',
    },
    timeout: seconds(0.5),
  },
} satisfies Partial<AuthOptions> & AuthModuleExtras;

/** The flows of an account that need no option. */
export const ACCOUNT_FLOWS = {
  registration: {},
  passwordReset: {},
  passwordChange: {},
  emailChange: {},
  accountDeletion: {},
  stepUp: {},
};

/** Every kind of second factor; who has `must-enrol` in the address has to have one. */
export const TWO_FACTOR_FLOW = {
  totp: {},
  backupCodes: { count: 4 },
  emailCode: {},
  trustedBrowsers: days(30),
  required: ({ email }: { readonly email: string }) => email.includes('must-enrol'),
};

/** An account that has been moved to another address, and the token by which its owner takes that back. */
export async function movedAccount(app: INestApplication): Promise<{ user: AuthUser; undo: string }> {
  const changes = app.get(EmailChangeService);
  const { id } = await createUser(app);
  changes.request({ id }, `moved-${id}@example.com`);
  await changes.confirm((await MemoryMailer.of(app)).last('email_change').token);
  const undo = (await MemoryMailer.of(app)).last('email_changed').token;
  return { user: (await app.get(PostgresUserDirectory).findById(id))!, undo };
}

/** The mails of this application that were sent since it was asked last. */
export async function newMails(app: INestApplication): Promise<MemoryMailer['sent']> {
  return (await MemoryMailer.of(app)).sent.splice(0);
}
