import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { hours, type MailDraft } from 'nestjs-latchkey';
import { Outbox } from 'nestjs-latchkey/engine';
import { SmtpMailer } from '../app/recipes/smtp.mailer.js';
import { startTestApp, type TestApp } from '../support/app.js';
import { startSmtp } from '../support/smtp-server.js';

const TOKEN = 'A'.repeat(43);
let t: TestApp;
let smtp: Awaited<ReturnType<typeof startSmtp>>;
let unsent: string[];

async function start(url: string): Promise<Outbox> {
  process.env['SMTP_URL'] = url;
  process.env['MAIL_FROM'] = 'notes@example.com';
  t = await startTestApp({
    auth: {
      baseUrl: 'https://app.example.com',
      mailer: SmtpMailer,
      mail: { pages: { password_reset: '/reset-password' }, shutdownTimeout: 500 },
    },
  });
  return t.app.get(Outbox);
}

const resetTo = (to: string): MailDraft => ({
  kind: 'password_reset',
  to,
  facts: { token: TOKEN, validFor: hours(1) },
  onUnsent: async () => void unsent.push(to),
});

beforeEach(() => {
  unsent = [];
});

describe('SmtpMailer of the recipe, with a real SMTP server', () => {
  let outbox: Outbox;
  beforeAll(async () => {
    smtp = await startSmtp();
    outbox = await start(`smtp://127.0.0.1:${smtp.port}`);
  });
  afterEach(() => void smtp.received.splice(0));
  afterAll(() => t?.close().then(() => smtp.stop()));

  const mail = async (to: string) => {
    outbox.post(resetTo(to));
    await outbox.idle();
    return smtp.received;
  };

  it('delivers the text, the link on one line, and says that it is automatic', async () => {
    const [one, ...others] = await mail('ada@example.com');
    expect(others).toEqual([]);
    expect(one).toMatchObject({ from: 'notes@example.com', recipients: ['ada@example.com'] });
    expect(one!.text).toMatch(/^Subject: Choose a new password for app\.example\.com\r$/m);
    expect(one!.text).toMatch(/^To: ada@example\.com\r$/m);
    expect(one!.text).toMatch(/^Auto-Submitted: auto-generated\r$/m);
    const body = one!.text.replaceAll('=\r\n', '').replaceAll('=3D', '=');
    expect(body).toContain(`\r\nhttps://app.example.com/reset-password#${TOKEN}\r\n`);
    expect(unsent).toEqual([]);
  });

  it.each(['Ada.Lovelace+notes@example.com', "o'hara_1!#$%&*/=?^`{|}~-@mail.example.co.uk", 'root@localhost'])(
    'F17: %s is one mailbox, and gets its mail (negative control)',
    async (address) => {
      expect((await mail(address)).flatMap(({ recipients }) => recipients)).toEqual([address]);
    },
  );

  it.each([
    'ada@example.com,eve@evil.example',
    'ada@example.com;eve@evil.example',
    'ada@example.com eve@evil.example',
    '"ada@example.com" <eve@evil.example>',
    'eve@evil.example <ada@example.com>',
    'ada@example.com\r\nBcc: eve@evil.example',
    'ada@example.com>\r\nRCPT TO:<eve@evil.example',
    'friends: ada@example.com, eve@evil.example;',
    '"eve@evil.example,"@example.com',
    'ada(eve@evil.example)@example.com',
    'ada@example.com\u0000eve@evil.example',
    'ada\u200b@example.com',
    'ada@example.com\u202e',
    'ada@example.com，eve@evil.example',
    '=?utf-8?q?eve=40evil.example=2C?=@example.com',
  ])('F17: %j brings a mail to at most one mailbox, the one of the account', async (hostile) => {
    const received = await mail(hostile);
    const recipients = received.flatMap((one) => one.recipients);
    expect(recipients.filter((one) => one !== hostile)).toEqual([]);
    expect(recipients.length + unsent.length).toBe(1);
  });

  it('F17: nodemailer itself, given a text, writes to both (negative control)', async () => {
    const { createTransport } = await import('nodemailer');
    const to = 'ada@example.com,eve@evil.example';
    await createTransport({ port: smtp.port, host: '127.0.0.1' }).sendMail({ from: 'x@example.com', to, text: 'x' });
    expect(smtp.received[0]!.recipients).toEqual(['ada@example.com', 'eve@evil.example']);
  });
});

describe('F15: an SMTP server that', () => {
  afterEach(async () => {
    await t?.close();
    await smtp.stop();
  });

  it('F15: refuses the recipient: the mail is taken back', async () => {
    smtp = await startSmtp({ onRcptTo: (_, __, done) => done(new Error('no such mailbox')) });
    const outbox = await start(`smtp://127.0.0.1:${smtp.port}`);
    outbox.post(resetTo('ada@example.com'));
    await outbox.idle();
    expect([smtp.received, unsent]).toEqual([[], ['ada@example.com']]);
  });

  it('F15: has a certificate that nobody vouches for: the mail is taken back, and nothing was said in the clear', async () => {
    const warn = jest.spyOn(console, 'error').mockImplementation(() => {}); // of its certificate, which everybody knows
    smtp = await startSmtp({ hideSTARTTLS: false });
    warn.mockRestore();
    const outbox = await start(`smtp://127.0.0.1:${smtp.port}`);
    outbox.post(resetTo('ada@example.com'));
    await outbox.idle();
    expect([smtp.received, unsent]).toEqual([[], ['ada@example.com']]);
  });

  it('F15: is not there: the mail is taken back', async () => {
    smtp = await startSmtp();
    await smtp.stop();
    const outbox = await start(`smtp://127.0.0.1:${smtp.port}`);
    outbox.post(resetTo('ada@example.com'));
    await outbox.idle();
    expect(unsent).toEqual(['ada@example.com']);
  });

  it('F15: does not answer: a shutdown gives the mail up and ends', async () => {
    smtp = await startSmtp({ onRcptTo: () => {} });
    const outbox = await start(`smtp://127.0.0.1:${smtp.port}`);
    outbox.post(resetTo('ada@example.com'));
    // Ends with the shutdown's own bound.
    await t.close();
    expect(unsent).toEqual(['ada@example.com']);
    t = undefined as unknown as TestApp;
  });
});
