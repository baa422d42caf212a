import { randomBytes } from 'node:crypto';
import { inspect, types, type InspectOptions } from 'node:util';
import type { FactoryProvider } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as root from 'nestjs-latchkey';
import { AuthModule, SessionService } from 'nestjs-latchkey';
import * as engine from 'nestjs-latchkey/engine';
import * as flows from 'nestjs-latchkey/flows';
import { KeyRing, SignedTokens, TimedSerializer } from 'nestjs-latchkey/engine';
import * as redis from 'nestjs-latchkey/redis';
import { RedisConnection, RedisEphemeralTokenStore, RedisInvalidationChannel } from 'nestjs-latchkey/redis';
import { RedisRateLimitStore, RedisSessionStore } from 'nestjs-latchkey/redis';
import * as testing from 'nestjs-latchkey/testing';
import { FrozenClock, MemoryMailer } from 'nestjs-latchkey/testing';
import { startTestApp, type TestApp } from '../support/app.js';
import { SchemaNames } from '../../src/schema/schema-names.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { MAIL } from '../support/flows.js';

const randomToken = () => randomBytes(32).toString('base64url');

class HangingMailer extends root.Mailer {
  static called = Promise.resolve();
  private static tell = () => {};
  static {
    HangingMailer.called = new Promise((resolve) => (HangingMailer.tell = resolve));
  }
  override send(): Promise<void> {
    HangingMailer.tell();
    return new Promise(() => {});
  }
}

const CANARY = 'canary-secret-that-nobody-may-ever-see-0123456789';
const PREVIOUS = 'canary-of-before-that-nobody-may-ever-see-0123456789';
const REDIS_PASSWORD = 'canary-password-of-redis';
const PROVIDER_SECRET = 'the-secret-between-us-and-a-provider';

/** All that can be asked for. */
const EVERYTHING: InspectOptions = {
  depth: Infinity,
  showHidden: true,
  getters: true,
  maxArrayLength: null,
  maxStringLength: null,
  breakLength: Infinity,
};
/** Nest's own, which lead to everything in the application, the host's DataSource included. */
const OF_NEST = ['ModuleRef', 'ApplicationConfig'];
/** Made by TypeORM, by the host, or thrown; a port that a provider has without extending it, and a browser's. */
const HOLD_NO_SECRET =
  /Entity$|^AuthModule$|^(?:Auth|Token)Error$|^SystemClock$|^NoopSessionCache$|^CleanupProgress$|^VirtualAuthenticator$/;

let db: TestDatabase;
let t: TestApp;
let secrets: string[];
let made: object[];
/** One that nobody has. */
class NoFactor extends flows.SecondFactor {
  override readonly method = 'none';
  override isEnrolled = async () => false;
  override verify = async () => false;
}

let providers: [name: string, instance: object][];

beforeAll(async () => {
  db = await createTestDatabase();
  const { password } = new URL(db.url);
  secrets = [CANARY, PREVIOUS, password, REDIS_PASSWORD, PROVIDER_SECRET];
  t = await startTestApp({
    url: db.url,
    auth: {
      secrets: [CANARY, PREVIOUS],
      jwt: { sessions: true },
      cache: { enabled: true, url: db.url },
      baseUrl: 'https://app.example.com',
      mailer: HangingMailer,
      mail: { ...MAIL.mail, concurrency: 1, shutdownTimeout: 1 },
      flows: {
        registration: {},
        passwordReset: {},
        emailChange: {},
        accountDeletion: {},
        stepUp: {},
        apiKeys: { scopes: ['notes:read'] },
        twoFactor: { totp: {}, backupCodes: {}, emailCode: {}, trustedBrowsers: root.days(30) },
        passkeys: { rpName: 'Notes' },
        magicLink: {},
        pages: {},
        admin: {},
        oidc: {
          providers: [
            { id: 'idp', issuer: 'https://idp.example.com', clientId: 'notes', clientSecret: PROVIDER_SECRET },
          ],
        },
      },
      secondFactors: [NoFactor],
    },
  });
  const { id } = await t.app.get(root.PostgresUserDirectory).create('ada@example.com', 'correct horse battery');
  const sessions = t.app.get(SessionService);
  const { token, session } = await sessions.create(id);
  const successor = await sessions.rotate(session, id);
  await sessions.lookup(successor!.token);
  secrets.push(token, successor!.token);

  // One mail is being sent, the other waits.
  const mailed = [randomToken(), randomToken()];
  const outbox = t.app.get(engine.Outbox);
  for (const token of mailed) {
    outbox.post({ kind: 'password_reset', to: 'ada@example.com', facts: { token, validFor: root.hours(1) } });
  }
  await HangingMailer.called;
  secrets.push(...mailed);

  const keys = t.app.get(KeyRing);
  const statements = t.app.get(engine.PreparedStatements);
  const connection = new RedisConnection({ url: `redis://user:${REDIS_PASSWORD}@127.0.0.1:1` });
  const channel = new RedisInvalidationChannel(connection, 1_000);
  made = [
    new SignedTokens(keys),
    new TimedSerializer(keys.forSalt('salt')),
    new FrozenClock(),
    new MemoryMailer(),
    connection,
    new RedisEphemeralTokenStore(connection, statements),
    new engine.CompositeInvalidationChannel(channel, channel),
    channel,
    new RedisRateLimitStore(connection, t.clock),
    new RedisSessionStore(connection, t.app.get(root.UserDirectory), statements, new SchemaNames(), t.clock),
    new engine.LocalInvalidationChannel(),
    new flows.PageTexts(),
  ];
  const module = [...t.app.get(ModulesContainer).values()].find(({ metatype }) => metatype === AuthModule)!;
  providers = [...module.providers.values()]
    .map(({ name, instance }): [string, object] => [String(name), instance as object])
    .filter(([name]) => !OF_NEST.includes(name));
});
afterAll(() => t?.close().then(() => db.drop()));

/** Which of the secrets can be seen in it. */
function seenIn(value: unknown): string[] {
  const json = jsonOf(value);
  const seen = new Set(secrets.filter((secret) => json.includes(secret)));
  for (const shown of inspected(value)) {
    for (const secret of secrets) if (shown.includes(secret)) seen.add(secret);
  }
  return [...seen];
}

/** What `inspect` shows of all that it leads to, each object once: by itself it repeats what several lead to. */
function* inspected(value: unknown): Iterable<string> {
  const found = new Set([value]);
  for (const one of found) {
    if (one instanceof ModulesContainer) continue; // Nest's own: see OF_NEST
    // What it shows of these lies in no property.
    const isOpaque = isObject(one) && (inspect.custom in one || types.isPromise(one) || types.isProxy(one));
    yield inspect(one, isOpaque ? EVERYTHING : { ...EVERYTHING, depth: 0 });
    if (isObject(one) && !isOpaque) for (const child of childrenOf(one)) if (isObject(child)) found.add(child);
  }
}

const isObject = (value: unknown): value is object =>
  (typeof value === 'object' && value !== null) || typeof value === 'function';

/** Of a class, what its getters return too. */
function* childrenOf(one: object): Iterable<unknown> {
  if (types.isMap(one) || types.isSet(one)) for (const entry of one.entries()) yield* entry;
  for (let owner: object | null = one; owner && owner !== Object.prototype; owner = Object.getPrototypeOf(owner)) {
    for (const property of Object.values(Object.getOwnPropertyDescriptors(owner))) {
      if (owner === one) yield property.value;
      yield returned(property, one);
    }
    for (const key of Object.getOwnPropertySymbols(owner)) {
      if (owner === one) yield Object.getOwnPropertyDescriptor(owner, key)!.value;
    }
  }
}

function returned(property: PropertyDescriptor, one: object): unknown {
  try {
    return property.get?.call(one);
  } catch {
    return undefined; // a getter of a prototype, for the instances
  }
}

function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? '';
  } catch (error) {
    return (error as Error).message; // a circle
  }
}

describe('H11: nobody sees a secret by looking at what the module is made of', () => {
  it('H11: in no provider of AuthModule', () => {
    expect(providers.length).toBeGreaterThan(40);
    expect(providers.filter(([, instance]) => seenIn(instance).length > 0).map(([name]) => name)).toEqual([]);
  });

  it('H11: in no instance of an exported class', () => {
    const instances = [...made, ...providers.map(([, instance]) => instance)];
    const isClass = (value: unknown): value is new () => object =>
      typeof value === 'function' && /^class\b/.test(Function.prototype.toString.call(value));
    const classes = [root, engine, flows, redis, testing]
      .flatMap((entry) => Object.values<unknown>(entry).filter(isClass))
      .filter(({ name }) => !HOLD_NO_SECRET.test(name));
    expect(classes.length).toBeGreaterThan(30);
    const unseen = classes.filter((type) => !instances.some((instance) => instance instanceof type));
    expect(unseen.map(({ name }) => name)).toEqual([]);
    expect(made.flatMap(seenIn)).toEqual([]);
  });

  it.each([
    ['forRoot', () => AuthModule.forRoot({ secrets: [CANARY] })],
    ['forRootAsync', () => AuthModule.forRootAsync({ useFactory: () => ({ secrets: [CANARY] }) })],
  ])('H11: not in what %s gives to Nest, once it is made', async (_, define) => {
    const provider = define().providers!.find((one) => 'provide' in one && one.provide === 'AUTH_MODULE_OPTIONS');
    const { useFactory, useValue } = provider as FactoryProvider & { useValue: unknown };
    const options: unknown = useFactory ? await useFactory() : useValue;
    expect(options).toBeDefined();
    expect(seenIn(options)).toEqual([]);
  });

  it('the look is a thorough one', () => {
    class Getter {
      get secret() {
        return CANARY;
      }
    }
    const hidden = Object.defineProperty({}, 'secret', { value: PREVIOUS });
    const json = { toJSON: () => REDIS_PASSWORD };
    for (const leak of [new Getter(), hidden, json, new Map([[{ a: { b: { c: { d: [CANARY] } } } }, 1]])]) {
      expect(seenIn({ deep: { deeper: [{ deepest: leak }] } })).toHaveLength(1);
    }
    expect(seenIn(new Getter())).toEqual([CANARY]);
  });
});
