import { Logger } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { AuthError } from '../auth.errors.js';
import { AuthConfig } from '../config/auth-config.js';
import type { AuthEvent } from '../events/auth-event.js';
import { AuthEvents } from '../events/auth-events.js';
import { AuditLog } from './audit-log.js';
import type { AuditStore } from './audit.store.js';

const away = () => new AuthError('STORE_UNAVAILABLE', 'away', { part: 'test' });

function start(queue = 10_000, enabled = true) {
  const events = new AuthEvents();
  const written: AuthEvent[] = [];
  const store = { fault: null as Error | null, calls: 0 };
  const insert = (batch: readonly AuthEvent[]) => {
    store.calls++;
    if (store.fault) return Promise.reject(store.fault);
    written.push(...batch);
    return Promise.resolve();
  };
  const secrets = ['a test secret that is long enough: 0123456789'];
  const log = new AuditLog(
    { insert } as unknown as AuditStore,
    events,
    AuthConfig.from({ secrets, audit: { enabled, queue } }),
  );
  log.onModuleInit();
  let told = 0;
  const emit = (times: number) => {
    for (let i = 0; i < times; i++) events.emit({ type: 'token.refused', at: told++, tokenType: 'pre_auth' });
  };
  const emitRevoked = (times: number) => {
    const facts = { userId: 'u1', handle: null, reason: 'disabled', count: 1 } as const;
    for (let i = 0; i < times; i++) events.emit({ type: 'session.revoked', at: told++, ...facts });
  };
  return { log, store, written, emit, emitRevoked };
}

describe('AuditLog', () => {
  let errors: jest.SpiedFunction<typeof Logger.prototype.error>;
  let warnings: jest.SpiedFunction<typeof Logger.prototype.warn>;
  beforeEach(() => {
    errors = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => {});
    warnings = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => {});
    jest.spyOn(Logger.prototype, 'log').mockImplementation(() => {});
  });
  afterEach(() => void jest.restoreAllMocks());

  it('writes everything, in its order and in batches, and at the latest at the shutdown', async () => {
    const { log, store, written, emit } = start();
    emit(1_200);
    await log.beforeApplicationShutdown();
    emit(3);
    await log.onApplicationShutdown();
    expect(written.map(({ at }) => at)).toEqual(Array.from({ length: 1_203 }, (_, i) => i));
    expect(store.calls).toBeLessThanOrEqual(5);
    expect(log.dropped).toBe(0);
  });

  it('listens to nothing where it is turned off', async () => {
    const { log, written, emit } = start(10, false);
    emit(5);
    await log.flush();
    expect(written).toEqual([]);
  });

  it('keeps what the database does not take now, says so once, and writes it later in its order', async () => {
    const { log, store, written, emit } = start();
    store.fault = away();
    for (let i = 0; i < 3; i++) {
      emit(2);
      await log.flush();
    }
    expect(errors).toHaveBeenCalledTimes(1);
    store.fault = null;
    await log.flush();
    expect(written.map(({ at }) => at)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(log.dropped).toBe(0);
  });

  it('holds no more than its queue: drops, counts, and does not flood the log', async () => {
    const { log, store, written, emit } = start(100);
    store.fault = away();
    for (let i = 0; i < 50; i++) {
      emit(50);
      await log.flush();
    }
    expect(log.dropped).toBe(2_400);
    expect(warnings.mock.calls.length).toBeLessThanOrEqual(4);
    store.fault = null;
    await log.flush();
    expect(written).toHaveLength(100);
  });

  it('H35: a flood of what anybody can cause makes room for what an owner did, and not the other way round', async () => {
    const { log, store, written, emit, emitRevoked } = start(100);
    store.fault = away();
    emit(40);
    emitRevoked(30);
    emit(5_000);
    emitRevoked(50);
    emit(5_000);
    store.fault = null;
    await log.flush();
    const kept = (type: string) => written.filter((event) => event.type === type).map(({ at }) => at);
    expect(kept('session.revoked')).toHaveLength(80);
    expect(kept('token.refused')).toEqual(Array.from({ length: 20 }, (_, at) => at));
    expect(written.map(({ at }) => at)).toEqual(written.map(({ at }) => at).toSorted((a, b) => a - b));
    expect(log.dropped).toBe(10_020);
    store.fault = away();
    emitRevoked(200);
    store.fault = null;
    await log.flush();
    expect(kept('session.revoked')).toHaveLength(180);
  });

  it('what the database refuses to hold does not keep the next from being written', async () => {
    const { log, store, written, emit } = start();
    store.fault = Object.assign(new Error('invalid byte sequence'), { code: '22021' });
    emit(2);
    await log.flush();
    store.fault = null;
    emit(1);
    await log.flush();
    expect(log.dropped).toBe(2);
    expect(written).toHaveLength(1);
  });

  it('what cannot be written at a shutdown is counted, and does not hold it up', async () => {
    const { log, store, emit } = start();
    store.fault = away();
    emit(5);
    await log.beforeApplicationShutdown();
    await log.onApplicationShutdown();
    expect(log.dropped).toBe(5);
  });
});
