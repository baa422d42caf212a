import { Injectable, type INestApplication } from '@nestjs/common';
import { seconds, type AuthModuleExtras, type AuthOptions, type Mail } from 'nestjs-latchkey';
import { MemoryMailer } from 'nestjs-latchkey/testing';

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
      email_change: '/confirm-email',
      email_changed: '/revert-email',
    },
    timeout: seconds(2),
  },
} satisfies Partial<AuthOptions> & AuthModuleExtras;

/** The mails of this application that were sent since it was asked last. */
export async function newMails(app: INestApplication): Promise<MemoryMailer['sent']> {
  return (await MemoryMailer.of(app)).sent.splice(0);
}
