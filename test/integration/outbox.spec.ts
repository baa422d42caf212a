import { AsyncLocalStorage } from 'node:async_hooks';
import { Injectable } from '@nestjs/common';
import { afterEach, describe, expect, it } from '@jest/globals';
import {
  AuthEvents,
  AuthTransaction,
  hours,
  Mailer,
  minutes,
  seconds,
  type AuthEvent,
  type AuthOptions,
  type Mail,
  type MailDraft,
} from 'nestjs-latchkey';
import { AuthHealthIndicator } from 'nestjs-latchkey/engine';
import { Outbox } from 'nestjs-latchkey/engine';
import { MemoryMailer } from 'nestjs-latchkey/testing';
import { startTestApp, type TestApp } from '../support/app.js';
import { until } from '../support/heard.js';

/** Keeps each mail back until it is told what to do with it. */
@Injectable()
class HeldMailer extends Mailer {
  readonly held: { mail: Mail; signal: AbortSignal; resolve: () => void; reject: (error: unknown) => void }[] = [];
  most = 0;

  override send(mail: Mail, signal: AbortSignal): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const one = { mail, signal, resolve, reject };
      this.held.push(one);
      this.most = Math.max(this.most, this.held.length);
    });
  }

  take() {
    return this.held.shift()!;
  }
}

let t: TestApp;
afterEach(() => t?.close());

interface Started {
  outbox: Outbox;
  mailer: HeldMailer;
  told: Partial<AuthEvent>[];
  /** Numbers of the mails whose `onUnsent` was called. */
  unsent: number[];
  post: (n: number) => void;
}

async function start(mail: AuthOptions['mail'] = {}): Promise<Started> {
  t = await startTestApp({
    auth: { baseUrl: 'https://app.example.com', mailer: HeldMailer, mail: { shutdownTimeout: 1, ...mail } },
  });
  const told: Partial<AuthEvent>[] = [];
  t.app.get(AuthEvents).on(({ at, ...event }) => {
    expect(at).toBeGreaterThan(0);
    told.push(event);
  });
  const unsent: number[] = [];
  const outbox = t.app.get(Outbox);
  const post = (n: number) => outbox.post(draft(n, { onUnsent: async () => void unsent.push(n) }));
  return { outbox, mailer: t.app.get(HeldMailer), told, unsent, post };
}

function draft(n: number, more: Partial<MailDraft> = {}): MailDraft {
  return { kind: 'factor_added', to: `user${n}@example.com`, facts: { factor: 'totp' }, ...more } as MailDraft;
}

const failed = (reason: string, kind: string | null = 'factor_added') => ({
  type: 'mail.failed',
  kind,
  userId: null,
  reason,
});
const sent = { type: 'mail.sent', kind: 'factor_added', userId: null };
const addresses = ({ held }: HeldMailer) => held.map(({ mail }) => mail.to.address);

describe('Outbox', () => {
  it('hands the mailer one mail with one mailbox as an object, and says that it went', async () => {
    const { outbox, mailer, told } = await start();
    outbox.post(draft(1, { userId: '7' }));
    expect(mailer.held).toEqual([]); // not within the caller's turn
    await until(() => mailer.held.length === 1);
    const { mail, resolve } = mailer.take();
    expect(mail).toMatchObject({ kind: 'factor_added', to: { name: '', address: 'user1@example.com' }, userId: '7' });
    resolve();
    await outbox.idle();
    expect(told).toEqual([{ ...sent, userId: '7' }]);
  });

  it('F15: sends at most mail.concurrency at once, keeps mail.queue, and takes back what is over', async () => {
    const { outbox, mailer, told, unsent, post } = await start({ concurrency: 2, queue: 3 });
    for (let n = 1; n <= 7; n++) post(n);
    await until(() => mailer.held.length === 2);
    expect(unsent).toEqual([6, 7]);
    expect(told).toEqual([failed('queue_full'), failed('queue_full')]);
    expect(outbox.state).toEqual({ waiting: 3, retrying: 0, sending: 2, failing: false });
    while (outbox.state.sending > 0) {
      await until(() => mailer.held.length > 0 || outbox.state.sending === 0);
      mailer.held.splice(0).forEach(({ resolve }) => resolve());
    }
    await outbox.idle();
    expect(mailer.most).toBe(2);
    expect(told.slice(2)).toEqual(Array.from({ length: 5 }, () => sent));
    expect(unsent).toEqual([6, 7]);
  });

  it('F46: a notice takes the place of work that waits, the last first, and of nothing else', async () => {
    const { outbox, mailer, told, post } = await start({ concurrency: 1, queue: 2 });
    post(1);
    await until(() => mailer.held.length === 1);
    const asked: number[] = [];
    for (const n of [1, 2]) {
      outbox.post(async () => {
        asked.push(n);
        return null;
      });
    }
    post(2);
    post(3);
    post(4);
    await until(() => told.length === 3);
    expect(told).toEqual(Array(3).fill(expect.objectContaining({ type: 'mail.failed', reason: 'queue_full' })));
    while (outbox.state.sending > 0) {
      await until(() => mailer.held.length > 0 || outbox.state.sending === 0);
      mailer.held.splice(0).forEach(({ resolve }) => resolve());
    }
    await outbox.idle();
    expect(asked).toEqual([]);
    expect(told.slice(3)).toEqual(Array(3).fill(expect.objectContaining({ type: 'mail.sent' })));
  });

  it('F15: a mail that the mailer refuses is taken back once, and the others go on', async () => {
    const { outbox, mailer, told, unsent, post } = await start();
    post(1);
    post(2);
    await until(() => mailer.held.length === 2);
    mailer.take().reject(Object.assign(new Error('user1@example.com: mailbox full'), { code: 'EENVELOPE' }));
    mailer.take().resolve();
    await outbox.idle();
    expect(unsent).toEqual([1]);
    expect(told).toContainEqual(failed('refused'));
    expect(told).toContainEqual(sent);
  });

  it('F46: what nobody can ask for again is tried again: five times, each later, and is unsent after the last', async () => {
    const { outbox, mailer, told, unsent } = await start();
    const fail = async () => {
      await until(() => mailer.held.length === 1);
      mailer.take().reject(new Error('451 try later'));
      await outbox.idle();
    };
    outbox.post(draft(1, { retries: true, onUnsent: async () => void unsent.push(1) }));
    await fail();
    for (const wait of [seconds(10), minutes(1), minutes(10), hours(1), hours(6)]) {
      expect([told, unsent, outbox.state.retrying]).toEqual([[], [], 1]);
      t.clock.advance(wait - 1);
      await outbox.idle();
      expect(mailer.held).toEqual([]);
      t.clock.advance(1);
      void outbox.idle();
      await fail();
    }
    expect([told, unsent, outbox.state.retrying]).toEqual([[failed('refused')], [1], 0]);
  });

  it('F15: one is not tried again when what it brings has expired', async () => {
    const { outbox, mailer, told, unsent } = await start();
    const facts = { factor: 'totp', validFor: minutes(30) };
    outbox.post(draft(1, { retries: true, facts, onUnsent: async () => void unsent.push(1) }));
    for (const wait of [0, seconds(10), minutes(1), minutes(10)]) {
      expect(unsent).toEqual([]);
      t.clock.advance(wait);
      void outbox.idle();
      await until(() => mailer.held.length === 1);
      mailer.take().reject(new Error('451 try later'));
      await outbox.idle();
    }
    // The next one would be an hour later.
    expect([told, unsent, outbox.state.retrying]).toEqual([[failed('refused')], [1], 0]);
  });

  it('F46: it goes with a later try, once, and then nothing is left of it', async () => {
    const { outbox, mailer, told } = await start({ timeout: 50 });
    outbox.post(draft(1, { retries: true }));
    // Not taken in time, which may have been sent all the same.
    await until(() => outbox.state.retrying === 1);
    mailer.take();
    t.clock.advance(seconds(10));
    void outbox.idle();
    await until(() => mailer.held.length === 1);
    mailer.take().resolve();
    await outbox.idle();
    expect([told, outbox.state.retrying]).toEqual([[sent], 0]);
  });

  it('F46: a shutdown is the last try', async () => {
    const { outbox, mailer, told } = await start({ shutdownTimeout: seconds(5) });
    outbox.post(draft(1, { retries: true }));
    await until(() => mailer.held.length === 1);
    mailer.take().reject(new Error('451 try later'));
    await outbox.idle();
    const closing = t.app.close();
    await until(() => mailer.held.length === 1);
    mailer.take().reject(new Error('451 try later'));
    await closing;
    expect(told).toEqual([failed('refused')]);
  });

  it('F46: one for which there is no place in the queue is tried again', async () => {
    const { outbox, mailer, told } = await start({ concurrency: 1, queue: 1 });
    for (const n of [1, 2, 3]) outbox.post(draft(n, { retries: true }));
    expect(outbox.state).toMatchObject({ waiting: 2, retrying: 1 });
    while (outbox.state.sending + outbox.state.waiting > 0) {
      await until(() => mailer.held.length > 0 || outbox.state.sending === 0);
      mailer.held.splice(0).forEach(({ resolve }) => resolve());
    }
    t.clock.advance(seconds(10));
    void outbox.idle();
    await until(() => mailer.held.length === 1);
    mailer.take().resolve();
    await outbox.idle();
    expect(told.filter(({ type }) => type === 'mail.sent')).toHaveLength(3);
  });

  it('F15: a mailer that hangs is given up after mail.timeout, and told so', async () => {
    const { outbox, mailer, told, unsent, post } = await start({ timeout: 30, concurrency: 1 });
    post(1);
    await until(() => mailer.held.length === 1);
    const { signal, resolve } = mailer.take();
    await outbox.idle();
    expect(signal.aborted).toBe(true);
    expect([unsent, told]).toEqual([[1], [failed('timeout')]]);
    resolve(); // too late: it stays taken back
    post(2);
    await until(() => mailer.held.length === 1);
    mailer.take().resolve();
    await outbox.idle();
    expect([unsent, told]).toEqual([[1], [failed('timeout'), sent]]);
  });

  it('F15: what fails while the mail is prepared, or comes too late, is taken back too', async () => {
    const { outbox, told, unsent } = await start({ timeout: 30 });
    outbox.post(() => Promise.reject(new Error('the database is away')));
    outbox.post(async () => null);
    await outbox.idle();
    expect(told).toEqual([failed('fault', null)]);
    let prepared!: (late: MailDraft) => void;
    outbox.post(() => new Promise((resolve) => (prepared = resolve)));
    await outbox.idle();
    expect(told).toEqual([failed('fault', null), failed('timeout', null)]);
    prepared(draft(3, { onUnsent: async () => void unsent.push(3) }));
    await until(() => unsent.length === 1);
  });

  it('F15: a take-back that hangs is given up after mail.timeout, and keeps no place', async () => {
    const { outbox, mailer, told, post } = await start({ concurrency: 1, timeout: 20 });
    outbox.post(draft(1, { onUnsent: () => new Promise(() => {}) }));
    await until(() => mailer.held.length === 1);
    mailer.take().reject(new Error('refused'));
    post(2);
    await until(() => mailer.held.length === 1);
    mailer.take().resolve();
    await outbox.idle();
    expect(told).toEqual([failed('refused'), sent]);
  });

  it('a draft that no text fits is taken back too', async () => {
    const { outbox, told, unsent } = await start();
    const broken = { kind: 'password_reset', to: 'ada@example.com' } as MailDraft;
    outbox.post({ ...broken, onUnsent: async () => void unsent.push(1) });
    await outbox.idle();
    expect(unsent).toEqual([1]);
    expect(told).toEqual([failed('fault', 'password_reset')]);
  });

  it('each mail is prepared, sent and taken back in the context of whoever posted it', async () => {
    const { outbox, mailer } = await start({ concurrency: 1, timeout: 1_000 });
    const tenants = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const see = async () => void seen.push(tenants.getStore());
    for (const tenant of ['a', 'b', 'c']) {
      tenants.run(tenant, () => outbox.post(async () => (await see(), draft(1, { onUnsent: see }))));
    }
    for (let n = 0; n < 3; n++) {
      await until(() => mailer.held.length === 1);
      mailer.take().reject(new Error('refused'));
    }
    await outbox.idle();
    expect(seen).toEqual(['a', 'a', 'b', 'b', 'c', 'c']);
  });

  it('F17: an address that is not exactly one mailbox gets nothing', async () => {
    const { outbox, mailer, told, unsent } = await start();
    const onUnsent = async () => void unsent.push(1);
    outbox.post(draft(1, { to: 'ada@example.com,eve@evil.example', onUnsent }));
    await outbox.idle();
    expect(mailer.held).toEqual([]);
    expect([unsent, told]).toEqual([[1], [failed('address')]]);
  });

  it('a kind without a page or a text is a fault, and a take-back that fails is no other', async () => {
    const { outbox, told } = await start();
    const facts = { token: 'A'.repeat(43), validFor: hours(1) };
    const onUnsent = () => Promise.reject(new Error('the database is away'));
    outbox.post({ kind: 'password_reset', to: 'ada@example.com', facts, onUnsent });
    await outbox.idle();
    expect(told).toEqual([failed('fault', 'password_reset')]);
  });

  it('within a transaction mail waits for the commit, and a rollback leaves none', async () => {
    const { outbox, mailer, unsent, post } = await start();
    const transaction = t.app.get(AuthTransaction);
    await transaction.run(async () => {
      post(1);
      await outbox.idle();
      expect(mailer.held).toEqual([]);
    });
    await until(() => mailer.held.length === 1);
    mailer.take().resolve();
    const rollback = transaction.run(async () => {
      post(2);
      throw new Error('no');
    });
    await expect(rollback).rejects.toThrow('no');
    post(3);
    await until(() => mailer.held.length === 1);
    expect(addresses(mailer)).toEqual(['user3@example.com']);
    mailer.take().resolve();
    await outbox.idle();
    expect(unsent).toEqual([]);
  });

  it('a shutdown sends what is waiting', async () => {
    const { mailer, told, unsent, post } = await start({ concurrency: 1, shutdownTimeout: seconds(20) });
    for (let n = 1; n <= 3; n++) post(n);
    const closed = t.close();
    for (let n = 1; n <= 3; n++) {
      await until(() => mailer.held.length === 1);
      mailer.take().resolve();
    }
    await closed;
    expect([told, unsent]).toEqual([[sent, sent, sent], []]);
    t = undefined as unknown as TestApp;
  });

  it('a shutdown waits for mail.shutdownTimeout, and takes back the rest', async () => {
    const { mailer, told, unsent, post } = await start({ concurrency: 1, shutdownTimeout: 30 });
    for (let n = 1; n <= 3; n++) post(n);
    await until(() => mailer.held.length === 1);
    await t.close();
    expect(new Set(unsent)).toEqual(new Set([1, 2, 3]));
    expect(unsent).toHaveLength(3);
    expect(told).toEqual(Array.from({ length: 3 }, () => failed('shutdown')));
    expect(mailer.take().signal.aborted).toBe(true);
    post(4);
    await until(() => unsent.includes(4));
    expect(mailer.held).toEqual([]);
    t = undefined as unknown as TestApp;
  });

  it('the health check says when the mailer has failed three times in a row', async () => {
    const { outbox, mailer, post } = await start();
    const mail = async () => {
      const { auth } = await t.app.get(AuthHealthIndicator).check();
      return [auth.mail, auth.degraded.includes('mail')];
    };
    for (let n = 1; n <= 3; n++) {
      expect(await mail()).toEqual([{ failing: false, waiting: 0 }, false]);
      post(n);
      await until(() => mailer.held.length === 1);
      mailer.take().reject(new Error('away'));
      await outbox.idle();
    }
    expect(await mail()).toEqual([{ failing: true, waiting: 0 }, true]);
    post(4);
    await until(() => mailer.held.length === 1);
    mailer.take().resolve();
    await outbox.idle();
    expect(await mail()).toEqual([{ failing: false, waiting: 0 }, false]);
  });
});

describe('MemoryMailer', () => {
  it('keeps what was sent, and says what there is when something is missing', async () => {
    t = await startTestApp({
      auth: { baseUrl: 'https://app.example.com', mailer: MemoryMailer, mail: { pages: { magic_link: '/in' } } },
    });
    const facts = { token: 'A'.repeat(43), validFor: hours(1) };
    t.app.get(Outbox).post({ kind: 'magic_link', to: 'Ada@example.com', facts });
    const mails = await MemoryMailer.of(t.app);
    const { token, link } = mails.last('magic_link');
    expect(link).toBe(`https://app.example.com/in#${token}`);
    expect(mails.to('ada@example.com')).toHaveLength(1);
    expect(() => mails.last('password_reset')).toThrow("no mail of kind 'password_reset'; sent so far: magic_link.");
  });

  it('says that the application has another mailer', async () => {
    await start();
    await expect(MemoryMailer.of(t.app)).rejects.toThrow('another mailer');
  });
});
