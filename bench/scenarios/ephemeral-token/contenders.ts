import { createHash, randomBytes } from 'node:crypto';
import { EphemeralTokenService } from 'nestjs-latchkey';
import { Client, Pool } from 'pg';
import type { Running } from '../../harness/contender.js';
import { CONCURRENCY, startContext } from '../our-app.js';

export interface EphemeralTokenArgs {
  readonly url: string;
  /** Of each measurement. */
  readonly tokens: number;
}

interface Token {
  readonly spelling: string;
  /** What the table knows of it. */
  readonly hash: string;
}

const TYPE = 'slicer_download';
const NONCE = 'archive:5';

const WHERE = 'token = $1 AND token_type = $2 AND nonce = $3 AND expires_at > to_timestamp($4)';
/** All that the fields of any type may be in. */
const COLUMNS = `username, provider_id, nonce, code_verifier, challenge_id, user_id, payload,
  date_part('epoch', created_at) AS created_at, date_part('epoch', expires_at) AS expires_at`;

export async function latchkey(args: EphemeralTokenArgs): Promise<Running> {
  const app = await startContext({ url: args.url });
  const service = app.get(EphemeralTokenService);
  return consuming(
    args,
    ({ spelling }) => service.consume(TYPE, spelling, NONCE),
    () => app.close(),
  );
}

export const deleteReturningNonce = (args: EphemeralTokenArgs) => bareDelete(args, 'nonce');
export const deleteReturningAll = (args: EphemeralTokenArgs) => bareDelete(args, COLUMNS);

/** The least there is to do: the one statement, with all that makes a token usable, its hash given. */
async function bareDelete(args: EphemeralTokenArgs, columns: string): Promise<Running> {
  const statement = { name: 'bare', text: `DELETE FROM auth_ephemeral_tokens WHERE ${WHERE} RETURNING ${columns}` };
  const pool = new Pool({ connectionString: args.url, max: CONCURRENCY });
  return consuming(
    args,
    async ({ hash }) => {
      const values = [hash, TYPE, NONCE, Date.now() / 1000];
      return (await pool.query<{ nonce: string }>({ ...statement, values })).rows[0];
    },
    () => pool.end(),
  );
}

/** Every token exactly once, and each must be there; of one that is spent nothing may come. */
async function consuming(
  { url, tokens }: EphemeralTokenArgs,
  consume: (token: Token) => Promise<unknown>,
  close: () => Promise<unknown>,
): Promise<Running> {
  const [spent] = await stored(url, 1);
  if (!(await consume(spent!)) || (await consume(spent!))) throw new Error('A token is not consumed exactly once.');
  let left: Token[] = [];
  return {
    concurrency: CONCURRENCY,
    operations: tokens,
    prepare: async () => {
      left = await stored(url, tokens);
    },
    work: async () => {
      if (!(await consume(left.pop()!))) throw new Error('A token was not there.');
    },
    close,
  };
}

/** So many tokens in the table, which holds no others. */
async function stored(url: string, count: number): Promise<Token[]> {
  const tokens = Array.from({ length: count }, () => {
    const raw = randomBytes(24);
    return { spelling: raw.toString('base64url'), hash: createHash('sha256').update(raw).digest('hex') };
  });
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query('TRUNCATE auth_ephemeral_tokens');
  await client.query(
    `INSERT INTO auth_ephemeral_tokens (token, token_type, nonce, expires_at)
      SELECT hash, $2, $3, now() + interval '5 minutes' FROM unnest($1::text[]) hash`,
    [tokens.map(({ hash }) => hash), TYPE, NONCE],
  );
  await client.query('VACUUM ANALYZE auth_ephemeral_tokens');
  await client.end();
  return tokens;
}
