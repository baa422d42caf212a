import { comparisonTable, type Contender } from '../harness/comparison.js';
import { number } from '../harness/number.js';
import { alternate, type Samples, type Spread } from '../harness/samples.js';
import type { Bench, Scenario } from '../harness/scenario.js';

const OURS = 'nestjs-latchkey';
const KEY = 'jsonwebtoken, KeyObject';
const CONSTANT = 'jsonwebtoken, KeyObject, the same claims each time';
const CRYPTO = 'node:crypto alone';
const BARE = 'HMAC + zlib + JSON alone';
const IRON = 'iron-session';

const JWT: readonly Contender[] = [
  { name: OURS, kind: 'ours', start: 'latchkey' },
  { name: KEY, kind: 'peer', start: 'jsonwebtokenKey' },
  { name: CONSTANT, kind: 'peer', start: 'jsonwebtokenConstant' },
  { name: 'jsonwebtoken, secret as text', kind: 'peer', start: 'jsonwebtokenText' },
  { name: 'jose', kind: 'peer', start: 'jose' },
  { name: 'fast-jwt', kind: 'peer', start: 'fastJwt' },
  { name: CRYPTO, kind: 'limit', start: 'nodeCrypto' },
];
const COOKIE_READ: readonly Contender[] = [
  { name: OURS, kind: 'ours', start: 'latchkeyRead' },
  { name: IRON, kind: 'peer', start: 'ironRead' },
  { name: BARE, kind: 'limit', start: 'bareRead' },
];
const COOKIE_WRITE: readonly Contender[] = [
  { name: OURS, kind: 'ours', start: 'latchkeyWrite' },
  { name: IRON, kind: 'peer', start: 'ironWrite' },
  { name: BARE, kind: 'limit', start: 'bareWrite' },
];

export const scenario: Scenario = {
  name: 'tokens',
  async run(bench) {
    const jwt = await measured(bench, 'jwt', JWT);
    const read = await measured(bench, 'cookie', COOKIE_READ);
    const write = await measured(bench, 'cookie', COOKIE_WRITE);
    const limit = jwt.rateRatio(OURS, CRYPTO);
    const constant = jwt.rateRatio(OURS, CONSTANT);
    return {
      title: 'Tokens in process',
      about: [
        'JWT: one operation signs a token (HS256; `sub`, `jti`, `iat`, `exp`, `purpose`; a random `jti` and the time of now) and verifies it. Before it is measured every contender gives back the subject and refuses a token whose claims, and one whose signature, was changed. jose is asynchronous and is given one operation after the other, fast-jwt has its cache off.',
        `Ours does ${number(limit.median)} of what \`node:crypto\` alone does, which signs and compares HMACs, parses the claims and looks at \`exp\`, in 25 lines. The rest goes to jsonwebtoken, which ours signs and verifies with (${number(jwt.rateRatio(KEY, CRYPTO).median)} of it by itself): it parses the header, checks its options and wraps the HMAC in a stream of its own. What ours checks on top, the type of every claim, the purpose, the audience and a header that holds nothing else, takes less than jsonwebtoken's own checks of claims and times, which ours leaves out.`,
        'Signed cookie: an identity with an e-mail address, three instants and an id, deflated and signed. `HMAC + zlib + JSON alone` is the same format without any check but the signature. iron-session encrypts too, with keys derived for each cookie, of an identity half as long: more work, and asynchronous, so it bounds nothing.',
      ],
      tables: [
        comparisonTable({ title: 'JWT, sign and verify', reference: KEY }, JWT, jwt),
        comparisonTable({ title: 'Signed cookie, read', reference: BARE }, COOKIE_READ, read),
        comparisonTable({ title: 'Signed cookie, write', reference: BARE }, COOKIE_WRITE, write),
      ],
      goals: [
        {
          claim: 'JWT, as many a second as jsonwebtoken with a KeyObject',
          value: jwt.rateRatio(OURS, KEY).median,
          least: 0.9,
          remark: `${span(constant)} where its claims are the same each time`,
        },
        {
          claim: 'Signed cookie read, as many a second as HMAC + inflate + JSON.parse alone',
          value: read.rateRatio(OURS, BARE).median,
          least: 0.8,
          remark: span(read.rateRatio(OURS, BARE)),
        },
      ],
    };
  },
};

function measured(bench: Bench, module: string, contenders: readonly Contender[]): Promise<Samples> {
  const url = new URL(`./tokens/${module}.ts`, import.meta.url);
  const startOf = new Map(contenders.map(({ name, start }) => [name, start]));
  return alternate(bench.rounds, [...startOf.keys()], (name) => bench.repeat(url, startOf.get(name)!));
}

function span({ median, least, most }: Spread): string {
  return least === most ? number(median) : `${number(median)} (rounds: ${number(least)} to ${number(most)})`;
}
