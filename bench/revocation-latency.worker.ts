/* oxlint-disable no-console */
import { setImmediate } from 'node:timers/promises';
import {
  AuthError,
  JwtCodecService,
  SessionService,
  TokenRevocationService,
  TypeOrmUserDirectory,
} from 'nestjs-latchkey';
import { startAuthProcess } from '../test/support/history/auth-process.js';
import type { Credential, FromWorker, Seen, ToWorker } from './revocation-latency.messages.js';

// One of the processes of `revocation-latency.ts`.

const app = await startAuthProcess();
const sessions = app.get(SessionService);
const directory = app.get(TypeOrmUserDirectory);
const codec = app.get(JwtCodecService);
const revocations = app.get(TokenRevocationService);

process.on('message', (message: ToWorker) => {
  const fail = (error: unknown) => {
    console.error(error);
    process.exit(1);
  };
  if (message.type === 'stop') void app.close().then(() => process.exit(0));
  if (message.type === 'create')
    void create(message).then((credentials) => send({ type: 'created', credentials }), fail);
  if (message.type === 'warm') void warm(message.credentials).then(() => send({ type: 'warm' }), fail);
  if (message.type === 'watch') void watch(message.credential).then((seen) => send({ type: 'seen', seen }), fail);
  if (message.type === 'end') void end(message.credential).then((times) => send({ type: 'ended', ...times }), fail);
});
process.on('disconnect', () => process.exit(1));
send({ type: 'ready' });

function create({ subject, users }: ToWorker & { type: 'create' }): Promise<Credential[]> {
  return Promise.all(
    users.map(async (user) => {
      if (subject === 'jwt') return { subject, user, token: codec.encode(user).token };
      return { subject, user, token: (await sessions.create(user)).token };
    }),
  );
}

async function isLive({ subject, token }: Credential): Promise<boolean> {
  if (subject !== 'jwt') return (await sessions.lookup(token)) !== null;
  try {
    await revocations.userOf(codec.decode(token));
    return true;
  } catch (error) {
    if (error instanceof AuthError && error.code !== 'STORE_UNAVAILABLE') return false;
    throw error;
  }
}

/** Twice, so that whatever keeps what it has read has it. */
async function warm(credentials: readonly Credential[]): Promise<void> {
  for (let round = 0; round < 2; round++) {
    for (const credential of credentials) {
      if (!(await isLive(credential))) throw new Error('A credential was not valid before it was ended.');
    }
  }
}

async function end({ subject, token, user }: Credential): Promise<{ start: number; end: number }> {
  const start = now();
  if (subject === 'session') await sessions.revoke(sessions.idOf(token)!);
  if (subject === 'user') await directory.disable(user);
  if (subject === 'jwt') {
    const { jti, exp } = codec.decode(token);
    await revocations.revoke(jti, exp);
  }
  return { start, end: now() };
}

/** Asks again and again until it is over. */
async function watch(credential: Credential): Promise<Seen> {
  const began = now();
  let [hits, lastLive] = [0, 0];
  for (;;) {
    const start = now();
    if (!(await isLive(credential)))
      return { hits, lastLive, gone: now(), perHit: (start - began) / Math.max(hits, 1) };
    lastLive = start;
    if (++hits === 1) send({ type: 'watching' });
    await setImmediate();
  }
}

/** Microseconds of the clock that all processes of the machine share. */
function now(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

function send(message: FromWorker): void {
  process.send!(message);
}
