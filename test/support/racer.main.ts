import { getDataSourceToken } from '@nestjs/typeorm';
import {
  AuthTransaction,
  EphemeralTokenService,
  isAuthError,
  RateLimitService,
  UserDirectory,
  type CompletedLogin,
} from 'nestjs-latchkey';
import {
  ApiKeyService,
  LoginService,
  MagicLinkService,
  PasskeyLoginService,
  PasswordResetService,
  RegistrationService,
  SecondFactorLoginService,
  type PasskeyAssertionResponse,
  type PendingLogin,
  type SecondFactor,
} from 'nestjs-latchkey/flows';
import type { DataSource } from 'typeorm';
import { SECOND_FACTORS } from '../../src/login/second-factor.js';
import { startAuthProcess } from './history/auth-process.js';
import type { Task } from './racers.js';
import { REGISTRATION } from './registration.js';

// One of several processes that all do the same at the same moment. Started by `racers.ts`.

const app = await startAuthProcess(
  {
    ...REGISTRATION,
    rateLimits: { policies: { '2fa_attempt': { limit: 5 } } },
    // The tests' rows are of a clock that stands still, long ago.
    cleanup: { enabled: false },
    flows: {
      registration: {},
      passwordReset: {},
      magicLink: {},
      twoFactor: { totp: {}, backupCodes: {} },
      passkeys: { rpName: 'Notes' },
      apiKeys: { scopes: { 'users:read': ['admin'] } },
    },
  },
  25,
);
const tokens = app.get(EphemeralTokenService);
const limits = app.get(RateLimitService);
const resets = app.get(PasswordResetService);
const registration = app.get(RegistrationService);
const apiKeys = app.get(ApiKeyService);
const magicLinks = app.get(MagicLinkService);
const logins = app.get(LoginService);
const secondSteps = app.get(SecondFactorLoginService);
const passkeyLogins = app.get(PasskeyLoginService);
const factors = app.get<SecondFactor[]>(SECOND_FACTORS);
const transaction = app.get(AuthTransaction);
const users = app.get(UserDirectory);
const dataSource = app.get<DataSource>(getDataSourceToken());

const REFUSALS = ['INVALID_LINK', 'INVALID_CREDENTIALS', 'SECOND_FACTOR_REFUSED'] as const;
const refused = (error: unknown) => (REFUSALS.some((code) => isAuthError(error, code)) ? null : Promise.reject(error));
const loggedInBy = (login: Promise<CompletedLogin | PendingLogin>) =>
  login.then((done) => (done.status === 'authenticated' ? done.user.id : null), refused);

const WORK: Record<Task['kind'], (task: Task, turn: number) => Promise<unknown>> = {
  consume: (task, turn) =>
    tokens.consume(task.type as 'pre_auth', task.tokens![turn % task.tokens!.length]!, task.binding),
  issue: (task) => tokens.issue('password_reset', { username: task.subject! }),
  /** The password that it has become. */
  reset: async (task, turn) => {
    const password = `password number ${turn} of ${process.pid}`;
    try {
      await resets.reset(task.tokens![turn % task.tokens!.length]!, password);
      return password;
    } catch (error) {
      if (isAuthError(error, 'INVALID_LINK')) return null;
      throw error;
    }
  },
  /** The account, or `null` if the link is not valid. */
  register: (task, turn) =>
    loggedInBy(
      registration.confirm({ token: task.tokens![turn % task.tokens!.length]! }, { browsers: [task.binding!] }),
    ),
  'magic link': (task) => loggedInBy(magicLinks.confirm({ token: task.tokens![0]! }, { browsers: [task.binding!] })),
  /** What it may do now; `null` if it is refused. */
  'api key': async (task) => (await apiKeys.authenticate(task.tokens![0]!))?.apiKey.scopes ?? null,
  limit: async (task) => (await limits.consume('2fa_attempt', task.subject!)).allowed || null,
  both: async (task, turn) => {
    const targets = [
      { event: 'login_ip', subject: '192.0.2.1' },
      { event: '2fa_attempt', subject: task.subject! },
    ] as const;
    return (await limits.consumeAll(turn % 2 ? targets : targets.toReversed())).allowed || null;
  },
  elevate: async ({ session }) => {
    const user = await users.findById(session!.userId);
    return (await logins.elevate(user!, session!, ['totp']))?.credential.value ?? null;
  },
  /** True if it counted. */
  factor: async ({ subject, factor }) => {
    const user = await users.findById(subject!);
    const one = factors.find(({ method }) => method === factor!.method)!;
    const verified = await one.verify(user!, factor!.response, { ip: null });
    return (verified && (verified === true || (await transaction.run(verified)))) || null;
  },
  /** The account of a held login. */
  'second step': ({ tokens: held, factor }, turn) =>
    secondSteps.complete({ token: held![turn % held!.length]!, ...factor! }).then(({ user }) => user.id, refused),
  passkey: (task) =>
    loggedInBy(
      passkeyLogins.complete(JSON.parse(task.tokens![0]!) as PasskeyAssertionResponse, { browsers: [task.binding!] }),
    ),
  /** Negative controls: what the guarantees above are about. */
  'read then delete': async (task) => {
    const where = `FROM auth_ephemeral_tokens WHERE username = $1`;
    const rows = await dataSource.query<unknown[]>(`SELECT 1 ${where}`, [task.subject]);
    await dataSource.query(`DELETE ${where}`, [task.subject]);
    return rows[0] ?? null;
  },
  'count then insert': async (task) => {
    const [{ n }] = await dataSource.query<[{ n: string }]>(
      "SELECT count(*) AS n FROM auth_rate_limit_events WHERE username = $1 AND event_type = '2fa_attempt'",
      [task.subject],
    );
    if (Number(n) >= 5) return null;
    await dataSource.query("INSERT INTO auth_rate_limit_events (username, event_type) VALUES ($1, '2fa_attempt')", [
      task.subject,
    ]);
    return true;
  },
};

process.on('message', (task: Task | 'stop') => {
  if (task === 'stop') return void app.close().then(() => process.exit(0));
  return void Promise.all(
    Array.from({ length: task.times }, (_, turn) =>
      WORK[task.kind](task, turn).catch((error: unknown) => ({ error: String(error) })),
    ),
  ).then((results) => process.send!(results));
});
// Opens the connections, so that the first task finds them all.
await Promise.all(Array.from({ length: 25 }, () => dataSource.query('SELECT pg_sleep(0.05)')));
process.send!('ready');
