import { createHmac, createSecretKey, randomBytes, timingSafeEqual } from 'node:crypto';
import { deflateSync, inflateSync } from 'node:zlib';
import { sealData, unsealData } from 'iron-session';
import { Logger } from '@nestjs/common';
import { AuthConfig, KeyRing, SignedCookieSession, SystemClock } from 'nestjs-latchkey/engine';
import type { Running } from '../../harness/contender.js';
import { honest, SUBJECT, type Codec } from './honesty.js';

const SECRET = 'a benchmark secret of more than 32 characters';
const TTL_SECONDS = 1800;

export const latchkeyRead = () => reading(latchkey());
export const latchkeyWrite = () => writing(latchkey());
export const bareRead = () => reading(bare());
export const bareWrite = () => writing(bare());
export const ironRead = async () => ({ ...(await reading(iron())), concurrency: 16 });
export const ironWrite = async () => ({ ...(await writing(iron())), concurrency: 16 });

function latchkey(): Codec {
  // The changed values of the honesty check would be warned about.
  Logger.overrideLogger(false);
  const config = AuthConfig.from({ secrets: [SECRET] });
  const cookies = new SignedCookieSession(new KeyRing(config), new SystemClock(), config);
  const identity = cookies.makeIdentity({ sub: SUBJECT, providerId: 'basic', email: 'alice@example.com' });
  return { write: () => cookies.encode(identity), read: (value) => cookies.decode(value) };
}

/** The same bytes as ours, and neither age nor form nor content looked at. */
function bare(): Codec {
  const key = createSecretKey(randomBytes(20));
  const now = new Date().toISOString();
  const identity = {
    sub: SUBJECT,
    email: 'alice@example.com',
    name: null,
    provider_id: 'basic',
    issued_at: now,
    expires_at: now,
    sid: randomBytes(16).toString('hex'),
    auth_time: now,
    absolute_expires_at: now,
  };
  const signatureOf = (body: string) => createHmac('sha1', key).update(body).digest();
  return {
    write: () => {
      const time = Buffer.from(Math.floor(Date.now() / 1000).toString(16), 'hex').toString('base64url');
      const body = `.${deflateSync(JSON.stringify(identity)).toString('base64url')}.${time}`;
      return `${body}.${signatureOf(body).toString('base64url')}`;
    },
    read: (value) => {
      const end = value.lastIndexOf('.');
      const body = value.slice(0, end);
      const signature = Buffer.from(value.slice(end + 1), 'base64url');
      const expected = signatureOf(body);
      if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) throw new Error('bad');
      const payload = body.slice(1, body.lastIndexOf('.'));
      // As ours: Node's default is a buffer of 16 KiB for each.
      return JSON.parse(inflateSync(Buffer.from(payload, 'base64url'), { chunkSize: 1024 }).toString()) as unknown;
    },
  };
}

function iron(): Codec {
  const options = { password: SECRET, ttl: TTL_SECONDS };
  const now = new Date().toISOString();
  const data = { sub: SUBJECT, email: 'alice@example.com', providerId: 'basic', authenticatedAt: now, name: null };
  return { write: () => sealData(data, options), read: (value) => unsealData(value, options) };
}

async function reading(codec: Codec): Promise<Running> {
  const { write, read } = await honest(codec);
  const value = await write();
  return { work: () => read(value) };
}

async function writing(codec: Codec): Promise<Running> {
  const { write } = await honest(codec);
  return { work: write };
}
