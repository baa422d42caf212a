import { comparisonTable, type Contender } from '../harness/comparison.js';
import { number } from '../harness/number.js';
import { alternate, type Samples } from '../harness/samples.js';
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
    const ofCrypto = (name: string) => number(jwt.cpuRatio(name, CRYPTO).median);
    return {
      title: 'Tokens in process',
      about: [
        'JWT: one operation signs a token (HS256; `sub`, `jti`, `iat`, `exp`, `purpose`; a random `jti` and the time of now) and verifies it. Before it is measured every contender gives back the subject and refuses a token whose claims, and one whose signature, was changed. fast-jwt has its cache off. jose works with threads of its own and is given 16 operations at once, which suits it better than one.',
        `By processor time ours does ${ofCrypto(OURS)} of what \`node:crypto\` alone does: two HMACs, the claims written and parsed, \`exp\` looked at, 25 lines. The distance is that of jsonwebtoken (${ofCrypto(KEY)} by itself), which ours signs and verifies with. Ours checks more: the type of every claim, the purpose, the audience, and that the header asks for nothing else. That is paid for by handing the claims over as text, which jsonwebtoken then neither copies nor checks a second time.`,
        'Signed cookie: an identity with an e-mail address, four instants and an id, deflated and signed. `HMAC + zlib + JSON alone` is the same format with no check but that of the signature. iron-session also encrypts, with keys derived for each cookie, and works with threads (16 at once): it does more, for an identity that is shorter.',
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
          remark: `${bothWays(jwt, OURS, KEY)}; where its claims are the same each time ${number(jwt.rateRatio(OURS, CONSTANT).median)}, ${bothWays(jwt, OURS, CONSTANT)}`,
        },
        {
          claim: 'Signed cookie read, as many a second as HMAC + inflate + JSON.parse alone',
          value: read.rateRatio(OURS, BARE).median,
          least: 0.8,
          remark: bothWays(read, OURS, BARE),
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

/** On a machine that others use too, processor time tells more than the clock. */
function bothWays(samples: Samples, name: string, other: string): string {
  const { least, most } = samples.rateRatio(name, other);
  return `rounds ${number(least)} to ${number(most)}, by processor time ${number(samples.cpuRatio(name, other).median)}`;
}
