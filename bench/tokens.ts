// What our checks cost on top of the primitives: `node --import ./test/support/register.js bench/tokens.ts`
import jwt from 'jsonwebtoken';
import { createHmac, createSecretKey, randomBytes } from 'node:crypto';
import { inflateSync } from 'node:zlib';
import { SystemClock } from '../src/common/clock.js';
import { AuthConfig } from '../src/config/auth-config.js';
import { KeyRing } from '../src/crypto/key-ring.js';
import { JwtCodecService } from '../src/jwt/jwt-codec.service.js';
import { SignedCookieSession } from '../src/session/signed-cookie-session.js';

const ROUNDS = 15;
const ROUND_MS = 300;

const config = AuthConfig.from({ secrets: ['a benchmark secret of more than 32 characters'] });
const keyRing = new KeyRing(config);
const clock = new SystemClock();

const codec = new JwtCodecService(keyRing, clock, config);
const key = createSecretKey(randomBytes(32));
const algorithm = 'HS256' as const;
const verify = (token: string) => jwt.verify(token, key, { algorithms: [algorithm] });

/** What a host writes by hand for the same claims: a fresh jti, iat and exp each time. */
function plainJwt(): unknown {
  const iat = Date.now() / 1000;
  const jti = randomBytes(16).toString('base64url');
  return verify(
    jwt.sign({ sub: 'user-123', jti, iat, exp: Math.trunc(iat) + 7200, purpose: 'session' }, key, { algorithm }),
  );
}

/** The same claims each time, so without the cost of a random jti and a clock. */
const issuedAt = Date.now() / 1000;
const constantClaims = {
  sub: 'user-123',
  jti: randomBytes(16).toString('base64url'),
  iat: issuedAt,
  exp: Math.trunc(issuedAt) + 7200,
  purpose: 'session',
};
const leanJwt = () => verify(jwt.sign(constantClaims, key, { algorithm }));

const ourJwt = () => codec.decode(codec.encode('user-123').token);

const cookies = new SignedCookieSession(keyRing, clock, config);
const cookie = cookies.encode(cookies.makeIdentity({ sub: 'alice', providerId: 'basic', email: 'alice@example.com' }));
const saltKey = keyRing.forSalt('reflow-session-v1')[0];
function bareCookie(): unknown {
  const end = cookie.lastIndexOf('.');
  const body = cookie.slice(0, end);
  if (createHmac('sha1', saltKey).update(body).digest('base64url') !== cookie.slice(end + 1)) throw new Error('bad');
  const payload = body.slice(1, body.lastIndexOf('.'));
  return JSON.parse(inflateSync(Buffer.from(payload, 'base64url')).toString());
}
const ourCookie = () => cookies.decode(cookie);

function perSecond(work: () => unknown): number {
  const start = performance.now();
  let done = 0;
  while (performance.now() - start < ROUND_MS) {
    for (let i = 0; i < 100; i++) work();
    done += 100;
  }
  return (done / (performance.now() - start)) * 1000;
}

/** Alternates the two, so that a busy machine slows both; the median of the rounds' ratios is the result. */
function compare(name: string, ours: () => unknown, theirs: () => unknown, least: number): void {
  for (const work of [ours, theirs]) perSecond(work);
  const rounds = Array.from({ length: ROUNDS }, () => [perSecond(ours), perSecond(theirs)] as const);
  const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number;
  const ratio = median(rounds.map(([a, b]) => a / b));
  const rates = [0, 1].map((side) => Math.round(median(rounds.map((round) => round[side] as number))));
  console.log(`${name}: ${rates[0]} / ${rates[1]} a second, ratio ${ratio.toFixed(2)} (at least ${least})`);
}

compare('JWT encode + decode / jsonwebtoken, KeyObject, fresh claims', ourJwt, plainJwt, 0.9);
compare('JWT encode + decode / jsonwebtoken, KeyObject, constant claims', ourJwt, leanJwt, 0.9);
compare('signed cookie decode / bare HMAC + inflate + JSON.parse', ourCookie, bareCookie, 0.8);
