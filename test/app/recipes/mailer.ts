/* oxlint-disable no-console */
import { Injectable } from '@nestjs/common';

export interface Mail {
  /** One mailbox. Hand it on as an object (`{ name: '', address: to }`): nodemailer splits a text at `,` and `;`. */
  to: string;
  subject: string;
  text: string;
}

/** How the recipes send mail: yours talks to your provider, the demo's prints, the tests' keeps. */
export abstract class Mailer {
  abstract send(mail: Mail): Promise<void>;
}

@Injectable()
export class ConsoleMailer extends Mailer {
  override async send({ to, subject, text }: Mail): Promise<void> {
    console.log(`\n--- mail to ${to}: ${subject}\n${text}\n---`);
  }
}
