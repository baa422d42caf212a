import { Injectable, type INestApplicationContext } from '@nestjs/common';
import { Mailer } from '../mail/mailer.js';
import { Outbox } from '../mail/outbox.js';
import type { Mail, MailKind } from '../mail/mail.js';

/**
 * Keeps mails instead of sending them. Give it to the module as `mailer`, or override `Mailer` with an instance of it.
 *
 * @example
 * ```ts
 * await request(app.getHttpServer()).post('/auth/forgot-password').send({ email });
 * const mails = await MemoryMailer.of(app); // mail goes out after the answer
 * const { token } = mails.last('password_reset');
 * ```
 */
@Injectable()
export class MemoryMailer extends Mailer {
  /** What was sent, the oldest first. Empty it between tests. */
  readonly sent: Mail[] = [];

  /** The application's `MemoryMailer`, once every mail posted so far has been sent or given up. */
  static async of(app: INestApplicationContext): Promise<MemoryMailer> {
    await app.get(Outbox, { strict: false }).idle();
    const mailer = app.get(Mailer, { strict: false });
    if (mailer instanceof MemoryMailer) return mailer;
    throw new TypeError('MemoryMailer.of: the application has another mailer. Give MemoryMailer to the module.');
  }

  override async send(mail: Mail): Promise<void> {
    this.sent.push(mail);
  }

  /** The last mail of this kind. Throws if there is none, and says what there is. */
  last<Kind extends MailKind>(kind: Kind): Mail<Kind> {
    const mail = this.sent.findLast((one) => one.kind === kind);
    if (mail) return mail as Mail<Kind>;
    const kinds = this.sent.map((one) => one.kind).join(', ') || 'none';
    throw new TypeError(`MemoryMailer: there is no mail of kind '${kind}'; sent so far: ${kinds}.`);
  }

  /** The mails to this address, the oldest first. */
  to(address: string): readonly Mail[] {
    return this.sent.filter(({ to }) => to.address.toLowerCase() === address.toLowerCase());
  }
}
