import { Injectable } from '@nestjs/common';
import { Mailer, seconds, type Mail } from 'nestjs-latchkey';
import { createTransport } from 'nodemailer';

/** Sends mail through your provider's SMTP server. */
@Injectable()
export class SmtpMailer extends Mailer {
  private readonly transport = createTransport(
    {
      // smtps://user:password@smtp.example.com; without TLS anybody on the way can read the links.
      url: process.env['SMTP_URL']!,
      connectionTimeout: seconds(10),
      greetingTimeout: seconds(10),
      socketTimeout: seconds(20),
    },
    {
      from: process.env['MAIL_FROM']!,
      // So that no absence note answers (RFC 3834).
      headers: { 'Auto-Submitted': 'auto-generated' },
    },
  );

  override async send({ to, subject, text, html }: Mail, signal: AbortSignal): Promise<void> {
    // `to` stays the object that it is: nodemailer splits a text at commas and semicolons, and writes to everybody.
    await this.transport.sendMail({ to, subject, text, html, signal });
  }
}
