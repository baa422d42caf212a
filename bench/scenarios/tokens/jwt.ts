import { createHmac, createSecretKey, randomBytes, timingSafeEqual } from 'node:crypto';
import { createSigner, createVerifier } from 'fast-jwt';
import { jwtVerify, SignJWT } from 'jose';
import jwt from 'jsonwebtoken';
import { JwtCodecService } from 'nestjs-latchkey';
import { AuthConfig, KeyRing, SystemClock } from 'nestjs-latchkey/engine';
import type { Running } from '../../harness/contender.js';
import { honest, SUBJECT } from './honesty.js';

const SECRET = 'a benchmark secret of more than 32 characters';
const ALGORITHM = 'HS256' as const;

/** What a host writes by hand for the claims that our codec writes. */
function freshClaims() {
  const iat = Date.now() / 1000;
  const jti = randomBytes(16).toString('base64url');
  return { sub: SUBJECT, jti, iat, exp: Math.trunc(iat) + 7200, purpose: 'session' };
}

export async function latchkey(): Promise<Running> {
  const config = AuthConfig.from({ secrets: [SECRET] });
  const codec = new JwtCodecService(new KeyRing(config), new SystemClock(), config);
  return sync({ write: () => codec.encode(SUBJECT).token, read: (token) => codec.decode(token) });
}

export const jsonwebtokenText = () => jsonwebtoken(SECRET, freshClaims);
export const jsonwebtokenKey = () => jsonwebtoken(createSecretKey(randomBytes(32)), freshClaims);
export function jsonwebtokenConstant(): Promise<Running> {
  const claims = freshClaims();
  return jsonwebtoken(createSecretKey(randomBytes(32)), () => claims);
}

/** Its HMACs are made by threads: with 16 under way it does a fifth more than with one. */
export async function jose(): Promise<Running> {
  const key = createSecretKey(randomBytes(32));
  const options = { algorithms: [ALGORITHM] };
  const { write, read } = await honest({
    write: () => new SignJWT(freshClaims()).setProtectedHeader({ alg: ALGORITHM, typ: 'JWT' }).sign(key),
    read: async (token: string) => (await jwtVerify(token, key, options)).payload,
  });
  return { work: async () => read(await write()), concurrency: 16 };
}

export async function fastJwt(): Promise<Running> {
  const key = randomBytes(32);
  const write = createSigner({ key, algorithm: ALGORITHM });
  const read = createVerifier({ key, algorithms: [ALGORITHM], cache: false });
  return sync({ write: () => write(freshClaims()), read: (token) => read(token) as unknown });
}

export async function nodeCrypto(): Promise<Running> {
  const key = createSecretKey(randomBytes(32));
  const header = Buffer.from(JSON.stringify({ alg: ALGORITHM, typ: 'JWT' })).toString('base64url');
  const signatureOf = (body: string) => createHmac('sha256', key).update(body).digest();
  const write = () => {
    const body = `${header}.${Buffer.from(JSON.stringify(freshClaims())).toString('base64url')}`;
    return `${body}.${signatureOf(body).toString('base64url')}`;
  };
  const read = (token: string) => {
    const end = token.lastIndexOf('.');
    const body = token.slice(0, end);
    const signature = Buffer.from(token.slice(end + 1), 'base64url');
    const expected = signatureOf(body);
    if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) throw new Error('bad signature');
    if (!body.startsWith(`${header}.`)) throw new Error('bad header');
    const claims = JSON.parse(Buffer.from(body.slice(header.length + 1), 'base64url').toString()) as { exp: number };
    if (Date.now() / 1000 >= claims.exp) throw new Error('expired');
    return claims;
  };
  return sync({ write, read });
}

function jsonwebtoken(key: jwt.Secret, claims: () => object): Promise<Running> {
  return sync({
    write: () => jwt.sign(claims(), key, { algorithm: ALGORITHM }),
    read: (token) => jwt.verify(token, key, { algorithms: [ALGORITHM] }),
  });
}

async function sync(codec: { write: () => string; read: (token: string) => unknown }): Promise<Running> {
  const { write, read } = await honest(codec);
  return { work: () => read(write()) };
}
