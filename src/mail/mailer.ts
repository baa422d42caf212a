import type { Mail } from './mail.js';

/**
 * Sends mail: yours, given to `AuthModule.forRoot({ mailer: … })`. It can inject what `imports` provides.
 *
 * It is called after the answer, so neither its speed nor its failure shows in one. To resolve means that your provider
 * has taken the mail; whatever it throws means that it has not, and the mail's token is void from then on. It is not
 * called again for the same mail. After `mail.timeout` it counts as failed and `signal` is aborted: hand that on to what
 * you wait for.
 *
 * @example
 * ```ts
 * @Injectable()
 * export class HttpMailer extends Mailer {
 *   override async send({ to, subject, text }: Mail, signal: AbortSignal) {
 *     const body = JSON.stringify({ to: [to], subject, text }); // `to` stays an object: one mailbox
 *     const { ok, status } = await fetch('https://mail.example.com/send', { method: 'POST', body, signal });
 *     if (!ok) throw new Error(`The mail provider answered ${status}.`);
 *   }
 * }
 * ```
 */
export abstract class Mailer {
  abstract send(mail: Mail, signal: AbortSignal): Promise<void>;
}
