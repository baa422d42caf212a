import { Controller, Delete, Get, Post } from '@nestjs/common';
import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  CurrentSession,
  CurrentUser,
  days,
  minutes,
  OptionalAuth,
  PostgresUserDirectory,
  Public,
  RateLimit,
  RequireAal,
  RequireFresh,
  RequireRole,
  seconds,
  TokenRevocationService,
  type AuthUser,
  type Session,
} from 'nestjs-latchkey';
import { AllowApiKey, ApiKeyService, CurrentApiKey, type ApiKey } from 'nestjs-latchkey/flows';
import { withAuthPaths } from 'nestjs-latchkey/openapi';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, NO_LOGIN_LIMITS, PASSWORD, PLATFORMS, startTestApp } from '../../support/app.js';
import { ACCOUNT_FLOWS, MAIL, newMails } from '../../support/flows.js';
import { AnswerChecker, emptyDocument } from '../../support/openapi.js';
import { eventsHeard, sharedTestApp } from '../../support/shared-app.js';

const SCOPES = { 'notes:read': [], 'notes:write': [], 'users:read': ['admin', 'auditor'] } as const;
const ALL = Object.keys(SCOPES);
const YEAR = 366 * 24 * 3600;

@Controller('notes')
class NotesController {
  @AllowApiKey('notes:read')
  @Get()
  list(@CurrentUser() user: AuthUser, @CurrentApiKey() key: ApiKey | null, @CurrentSession() session: Session | null) {
    return { email: user.email, key: key && { name: key.name, scopes: key.scopes }, session: session !== null };
  }

  @AllowApiKey('notes:write')
  @Post()
  write(@CurrentUser('id') id: string) {
    return { id };
  }

  @AllowApiKey('users:read')
  @Get('users')
  users() {
    return {};
  }

  @RequireRole('auditor')
  @AllowApiKey('notes:read')
  @Get('audited')
  audited() {
    return {};
  }

  @AllowApiKey('notes:read')
  @RequireFresh()
  @Delete('fresh')
  fresh() {
    return {};
  }

  @AllowApiKey('notes:read')
  @RequireAal(2)
  @Get('aal')
  aal() {
    return {};
  }

  @RateLimit({ event: 'email_send', by: 'user' })
  @AllowApiKey('notes:read')
  @Get('limited')
  limited() {
    return {};
  }

  @Get('plain')
  plain() {
    return {};
  }

  @OptionalAuth()
  @Get('optional')
  optional(@CurrentUser() user: AuthUser | null, @CurrentApiKey() key: ApiKey | null) {
    return { user, key };
  }
}

@Public()
@Controller('public')
class PublicController {
  @Get()
  open(@CurrentUser() user: AuthUser | null) {
    return { user };
  }

  @AllowApiKey('notes:read')
  @Get('keyed')
  keyed(@CurrentUser('email') email: string) {
    return { email };
  }
}

class OverridingController extends NotesController {
  override plain() {
    return {};
  }
}
Controller('overriding')(OverridingController);

@Controller('redefined')
class RedefinedController extends NotesController {
  @Get()
  override list() {
    return { email: '', key: null, session: false };
  }
}

const controllers = [NotesController, PublicController, OverridingController, RedefinedController];
const FLOWS = {
  apiKeys: { scopes: SCOPES },
  ...ACCOUNT_FLOWS,
};

describe.each(PLATFORMS)('API keys on %s', (platform) => {
  const t = sharedTestApp({ platform, controllers, auth: { ...MAIL, flows: FLOWS, rateLimits: NO_LOGIN_LIMITS } });
  const heard = eventsHeard(t);
  let ada: AuthUser;
  let cookie: string;
  const users = () => t.app.get(PostgresUserDirectory);
  beforeEach(async () => {
    t.clock.advance(minutes(15));
    ada = await createUser(t.app);
    cookie = await signInAs(t.app, ada.id);
    await newMails(t.app);
    heard.length = 0;
  });

  const make = (body: object = {}, of = cookie) =>
    request(t.url)
      .post('/auth/api-keys')
      .set('Cookie', of)
      .send({ name: 'Backup', scopes: ['notes:read'], expiresIn: 3600, ...body });
  const made = async (body: object = {}) => (await make(body).expect(201)).body as { id: string; key: string };
  const by = (key: string, path: string, method: 'get' | 'post' | 'delete' = 'get') =>
    request(t.url)[method](path).set('Authorization', `Bearer ${key}`);
  const list = () => request(t.url).get('/auth/api-keys').set('Cookie', cookie);
  const revoke = (id: string, of = cookie) => request(t.url).delete(`/auth/api-keys/${id}`).set('Cookie', of);
  const refusals = () => heard.flatMap((event) => (event.type === 'api_key.refused' ? event.reason : []));

  it('a key acts for its owner within its scopes, and is shown once', async () => {
    const answer = await make({ scopes: ['notes:read', 'notes:read'] }).expect(201);
    const { key, ...shown } = answer.body;
    expect(key).toMatch(/^lk_[A-Za-z0-9_-]{43}$/);
    expect(answer.get('Cache-Control')).toBe('no-store');
    expect(shown).toEqual({
      id: expect.any(String),
      name: 'Backup',
      prefix: key.slice(0, 9),
      scopes: ['notes:read'],
      createdAt: new Date(t.clock.now()).toISOString(),
      expiresAt: new Date(t.clock.now() + seconds(3600)).toISOString(),
      lastUsedAt: null,
    });
    await by(key, '/notes').expect(200, {
      email: ada.email,
      key: { name: 'Backup', scopes: ['notes:read'] },
      session: false,
    });
    expect((await list().expect(200)).body).toEqual([{ ...shown, lastUsedAt: shown.createdAt }]);
    expect((await request(t.url).get('/notes').set('Cookie', cookie).expect(200)).body).toMatchObject({
      key: null,
      session: true,
    });
    expect(heard.filter(({ type }) => type.startsWith('api_key'))).toEqual([
      {
        type: 'api_key.created',
        at: t.clock.now(),
        userId: ada.id,
        keyId: shown.id,
        scopes: ['notes:read'],
        expiresAt: t.clock.now() + seconds(3600),
        ip: '127.0.0.1',
      },
    ]);
    expect(await newMails(t.app)).toEqual([
      expect.objectContaining({ kind: 'api_key_created', userId: ada.id, name: 'Backup' }),
    ]);
    expect(await t.db.query('SELECT * FROM auth_api_keys WHERE prefix LIKE $1', ['%' + key.slice(9)])).toEqual([]);
  });

  it('F78: a scope that the key lacks: 403, and the header says which (RFC 6750)', async () => {
    const { key } = await made();
    const refused = await by(key, '/notes', 'post').expect(403);
    expect(refused.body).toEqual({ statusCode: 403, code: 'FORBIDDEN', message: 'You may not do this.' });
    expect(refused.get('WWW-Authenticate')).toBe('Bearer error="insufficient_scope", scope="notes:write"');
    expect(refusals()).toEqual(['scope']);
  });

  it('F78: a key with every scope reaches no route that does not name it: of this module, of the application', async () => {
    await users().setRoles(ada.id, ['admin']);
    cookie = await signInAs(t.app, ada.id);
    const { key, id } = await made({ scopes: ALL });
    const { paths } = withAuthPaths(emptyDocument('3.1.0'), t.app);
    const ours = Object.entries(paths as Record<string, object>).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => [method, path.replace(/\{\w+\}/, id)] as const),
    );
    expect(ours.length).toBeGreaterThan(20);
    const others = [
      ['get', '/notes/plain'],
      ['get', '/notes/optional'],
      ['get', '/public'],
      ['get', '/overriding/plain'],
      ['get', '/redefined'],
    ] as const;
    for (const [method, path] of [...ours, ...others]) {
      const ask = () => request(t.url)[method as 'get'](path);
      const anonymous = await ask();
      const keyed = await ask().set('Authorization', `Bearer ${key}`);
      expect([path, keyed.status, keyed.body]).toEqual([path, anonymous.status, anonymous.body]);
      expect(keyed.get('Set-Cookie')?.join()).toBe(anonymous.get('Set-Cookie')?.join());
    }
    await by(key, '/overriding').expect(200); // the same handler, which names it
    await by(key, '/notes/optional').expect(200, { user: null, key: null });
  });

  it('F78: a handler with @AllowApiKey is not public, whatever its class is', async () => {
    const { key } = await made();
    await request(t.url).get('/public/keyed').expect(401);
    await by(key, '/public/keyed').expect(200, { email: ada.email });
    await by(key, '/public').expect(200, { user: null });
  });

  it('F80: a key is never fresh and never aal 2, makes no keys and revokes none', async () => {
    const { key, id } = await made({ scopes: ['notes:read', 'notes:write'] });
    expect((await by(key, '/notes/fresh', 'delete').expect(403)).body.code).toBe('FORBIDDEN');
    expect((await by(key, '/notes/aal').expect(403)).body.code).toBe('FORBIDDEN');
    await by(key, '/auth/api-keys', 'post')
      .send({ name: 'More', scopes: ['notes:read'], expiresIn: 60 })
      .expect(401);
    await by(key, '/auth/api-keys').expect(401);
    await by(key, `/auth/api-keys/${id}`, 'delete').expect(401);
    await by(key, '/auth/step-up', 'post').send({ method: 'password', password: PASSWORD }).expect(401);
    expect((await list()).body).toHaveLength(1);
  });

  it('F80: a request with a key is the key’s, whatever cookie it brings', async () => {
    const { key } = await made();
    await by(key, '/notes/plain').set('Cookie', cookie).expect(401);
    expect((await by(key, '/notes').set('Cookie', cookie).expect(200)).body).toMatchObject({ session: false });
    await by(`lk_${'A'.repeat(43)}`, '/notes')
      .set('Cookie', cookie)
      .expect(401);
  });

  it('F80: a key is taken from the header only', async () => {
    const { key } = await made();
    const name = cookie.slice(0, cookie.indexOf('='));
    await request(t.url).get('/notes').set('Cookie', `${name}=${key}`).expect(401);
    await request(t.url).get(`/notes?access_token=${key}&key=${key}`).expect(401);
    await request(t.url).get('/notes').set('X-Api-Key', key).expect(401);
    await request(t.url).get('/notes').set('Authorization', `Basic ${key}`).expect(401);
    await request(t.url).get('/notes').set('Authorization', `bearer ${key}`).expect(200);
  });

  it('F80: a stored hash, a prefix, another spelling: 401; and malformed ones cost no query', async () => {
    const { key, id } = await made();
    const [row] = await t.db.query<{ key_hash: string }>('SELECT key_hash FROM auth_api_keys WHERE id = $1', [id]);
    const hash = row!.key_hash;
    const hashed = `lk_${Buffer.from(hash, 'hex').toString('base64url')}`;
    await by(hashed, '/notes').expect(401);
    const last = key.at(-1)!;
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const twin = `${key.slice(0, -1)}${alphabet[alphabet.indexOf(last) ^ 1]}`;
    t.queries.reset();
    for (const wrong of [twin, `lk_${hash.slice(0, 40)}`, key.slice(3), key.slice(0, -1), `${key}A`, 'lk_', hash]) {
      await by(wrong, '/notes').expect(401);
    }
    expect(t.queries.statements.filter((text) => /auth_api_keys/.test(text))).toEqual([]);
  });

  it('F80: it is over at the exact instant of its expiry', async () => {
    const { key } = await made({ expiresIn: 60 });
    t.clock.advance(seconds(60) - 0.001);
    await by(key, '/notes').expect(200);
    t.clock.advance(0.001);
    await by(key, '/notes').expect(401);
    expect(refusals()).toEqual(['expired']);
    cookie = await signInAs(t.app, ada.id);
    expect((await list()).body).toEqual([]);
  });

  it.each<[string, object]>([
    ['no expiry', { expiresIn: undefined }],
    ['more than 366 days', { expiresIn: YEAR + 1 }],
    ['less than a minute', { expiresIn: 59 }],
    ['half a second', { expiresIn: 60.5 }],
    ['no scope', { scopes: [] }],
    ['an unknown scope', { scopes: ['notes:read', 'notes:delete'] }],
    ['a property of objects as scope', { scopes: ['constructor'] }],
    ['a text of scopes', { scopes: 'notes:read' }],
    ['no name', { name: ' ' }],
    ['a name of 101 characters', { name: 'x'.repeat(101) }],
    ['an invisible name', { name: 'a\u202eb' }],
    ['an owner', { userId: 'somebody' }],
  ])('F80: %s: 422, and no key', async (_, body) => {
    const refused = await make(body).expect(422);
    expect(refused.body).toMatchObject({
      code: 'INVALID_INPUT',
      fields: { [Object.keys(body)[0]!]: expect.any(String) },
    });
    expect((await list()).body).toEqual([]);
  });

  it('366 days and 100 characters of any script are possible', async () => {
    await made({ expiresIn: YEAR, name: '\u{1f511}'.repeat(100) });
    expect(await t.db.query('SELECT 1 FROM auth_api_keys WHERE user_id = $1', [ada.id])).toHaveLength(1);
    const longer = t.db.query(`UPDATE auth_api_keys SET expires_at = expires_at + interval '1 us' WHERE user_id = $1`, [
      ada.id,
    ]);
    await expect(longer).rejects.toThrow(/auth_api_keys_expires_at_check/);
  });

  it('F79: a scope is for those whose roles allow it: at the beginning, and with every request', async () => {
    expect((await make({ scopes: ['users:read'] }).expect(403)).body.code).toBe('FORBIDDEN');
    await users().setRoles(ada.id, ['auditor']);
    const { key } = await made({ scopes: ['users:read', 'notes:read'] });
    await by(key, '/notes/users').expect(200);
    await by(key, '/notes/audited').expect(200);
    await users().setRoles(ada.id, ['reader']);
    await by(key, '/notes/users').expect(403);
    await by(key, '/notes/audited').expect(403);
    expect((await by(key, '/notes').expect(200)).body.key.scopes).toEqual(['notes:read']);
    expect((await list()).body[0].scopes).toEqual(['notes:read']);
    await users().setRoles(ada.id, ['admin']);
    await by(key, '/notes/users').expect(200);
  });

  it.each<[string, () => Promise<unknown>, string[]]>([
    ['disabled', () => users().disable(ada.id), ['owner']],
    [
      'disabled and enabled again',
      () =>
        users()
          .disable(ada.id)
          .then(() => users().enable(ada.id)),
      ['owner'],
    ],
    ['given a new password', () => users().setPassword(ada.id, 'a better passphrase'), ['owner']],
    ['signed out everywhere', () => t.app.get(TokenRevocationService).revokeAllForUser(ada.id), ['owner']],
    ['deleted', () => users().delete(ada.id), ['unknown']],
  ])('F79: an owner who is %s: the next request is refused', async (_, end, reasons) => {
    const { key } = await made();
    await by(key, '/notes').expect(200);
    await end();
    await by(key, '/notes').expect(401);
    expect(refusals()).toEqual(reasons);
  });

  it('F46: a reverted change of address ends the keys that the thief has made', async () => {
    const before = await made();
    await request(t.url)
      .post('/auth/change-email')
      .set('Cookie', cookie)
      .send({ email: `thief-${ada.id}@example.com` })
      .expect(202);
    const [link] = (await newMails(t.app)).filter(({ kind }) => kind === 'email_change') as { token: string }[];
    await request(t.url).post('/auth/confirm-email-change').send({ token: link!.token }).expect(200);
    const after = await made();
    const undo = (await newMails(t.app)).find(({ kind }) => kind === 'email_changed') as { token: string };
    await request(t.url).post('/auth/revert-email-change').send({ token: undo.token }).expect(200);
    for (const { key } of [before, after]) await by(key, '/notes').expect(401);
  });

  it('F80: making one needs a fresh session; listing and revoking need a session', async () => {
    const { id, key } = await made();
    t.clock.advance(minutes(15));
    expect((await make().expect(401)).body.code).toBe('STEP_UP_REQUIRED');
    await list().expect(200);
    await by(key, '/notes').expect(200);
    await revoke(id).expect(200);
    await by(key, '/notes').expect(401);
    for (const ask of [list(), revoke(id), make()]) await ask.set('Cookie', '').expect(401);
  });

  it('only the owner revokes it; repeating it is no error, and is told once', async () => {
    const { id, key } = await made();
    const eve = await signInAs(t.app, (await createUser(t.app)).id);
    for (const wrong of [revoke(id, eve), revoke('00000000-0000-4000-8000-000000000000'), revoke('x'), revoke('%00')]) {
      expect((await wrong.expect(404)).body.code).toBe('API_KEY_NOT_FOUND');
    }
    await by(key, '/notes').expect(200);
    await newMails(t.app);
    await revoke(id).expect(200);
    await revoke(id.toUpperCase()).expect(200);
    await by(key, '/notes').expect(401);
    expect(heard.filter(({ type }) => type === 'api_key.revoked')).toEqual([
      { type: 'api_key.revoked', at: t.clock.now(), userId: ada.id, keyId: id },
    ]);
    expect((await newMails(t.app)).map(({ kind }) => kind)).toEqual(['api_key_revoked']);
    expect(refusals()).toEqual(['revoked']);
    expect((await list()).body).toEqual([]);
  });

  it('a page of another origin makes none and revokes none', async () => {
    const { id } = await made();
    const origin = { Origin: 'https://evil.example' };
    await make().set(origin).expect(403);
    await revoke(id).set(origin).expect(403);
    expect((await list()).body).toHaveLength(1);
  });

  it('its last use is recorded at most once a minute', async () => {
    const { id, key } = await made();
    const usedAt = async () =>
      ((await list()).body as { id: string; lastUsedAt: string }[]).find((one) => one.id === id)!.lastUsedAt;
    await by(key, '/notes').expect(200);
    const first = await usedAt();
    t.clock.advance(seconds(60) - 1);
    t.queries.reset();
    await by(key, '/notes').expect(200);
    expect(t.queries.statements.filter((text) => /last_used_at = /.test(text))).toEqual([]);
    t.clock.advance(1);
    await by(key, '/notes').expect(200);
    expect(Date.parse(await usedAt()) - Date.parse(first)).toBe(seconds(60));
  });

  it('one lookup decides, by one statement that joins key and owner', async () => {
    const { key } = await made();
    await by(key, '/notes').expect(200);
    t.queries.reset();
    await by(key, '/notes').expect(200);
    expect(t.queries.statements.length).toBeLessThanOrEqual(1);
  });

  it('@RateLimit by user counts the owner', async () => {
    const keys = [await made(), await made()];
    for (const { key } of [...keys, keys[0]!]) await by(key, '/notes/limited').expect(200);
    await by(keys[1]!.key, '/notes/limited').expect(429);
    await request(t.url).get('/notes/limited').set('Cookie', cookie).expect(429);
  });

  it('30 refused ones of an address: 429 for the next, and right ones go on', async () => {
    t.clock.advance(minutes(15));
    cookie = await signInAs(t.app, ada.id);
    const { key } = await made();
    for (let i = 0; i < 30; i++) await by(`lk_${'A'.repeat(42)}${'AEIMQUYcgkosw048'[i % 16]}`, '/notes').expect(401);
    const limited = await by(`lk_${'A'.repeat(43)}`, '/notes').expect(429);
    expect(limited.body.code).toBe('RATE_LIMITED');
    expect(Number(limited.get('Retry-After'))).toBeGreaterThan(0);
    await by(key, '/notes').expect(200);
    expect(refusals()).toHaveLength(30);
    expect(heard.filter(({ type }) => type === 'rate_limit.reached')).toHaveLength(1);
    t.clock.advance(minutes(15));
  });

  it('the answers are those of the OpenAPI document, which has a scheme for your handlers', async () => {
    const document = withAuthPaths(emptyDocument('3.1.0'), t.app) as unknown as {
      components: { securitySchemes: Record<string, object> };
    };
    expect(document.components.securitySchemes['authApiKey']).toMatchObject({ type: 'http', scheme: 'bearer' });
    const checker = new AnswerChecker(withAuthPaths(emptyDocument('3.1.0'), t.app));
    const check = async (method: string, body: object | string, asked: request.Test, path = '/auth/api-keys') => {
      const answer = await asked;
      expect(checker.mistakes(method, path, body, answer)).toEqual([]);
      return answer.status;
    };
    const { id } = await made();
    const body = { name: 'Backup', scopes: ['notes:read'], expiresIn: 60 };
    expect(await check('post', body, make(body))).toBe(201);
    expect(await check('post', { ...body, name: 1 }, make({ ...body, name: 1 }))).toBe(422);
    expect(await check('post', body, make({ ...body, scopes: ['users:read'] }))).toBe(403);
    expect(await check('post', body, make(body, ''))).toBe(401);
    expect(await check('get', '', list())).toBe(200);
    expect(await check('delete', '', revoke(id), '/auth/api-keys/{id}')).toBe(200);
    expect(await check('delete', '', revoke('x'), '/auth/api-keys/{id}')).toBe(404);
  });

  it('the service refuses what the route does, without a request', async () => {
    const keys = t.app.get(ApiKeyService);
    const wanted = { name: 'Backup', scopes: ['notes:read'], expiresIn: days(1) };
    const { key, apiKey } = await keys.create(ada, wanted);
    expect(await keys.authenticate(key)).toMatchObject({ user: { id: ada.id }, apiKey: { id: apiKey.id } });
    for (const [field, value] of [
      ['expiresIn', Number.NaN],
      ['expiresIn', days(366) + 1],
      ['scopes', []],
      ['name', 7],
    ] as const) {
      const refused = keys.create(ada, { ...wanted, [field]: value });
      await expect(refused).rejects.toMatchObject({
        code: 'INVALID_INPUT',
        facts: { fields: { [field]: expect.any(String) } },
      });
    }
    expect(await keys.revokeAllForUser(ada.id)).toBe(1);
    expect(await keys.authenticate(key)).toBeNull();
    expect(await keys.listForUser('nobody')).toEqual([]);
    expect(await keys.revoke({ id: 'nobody', email: '' }, apiKey.id)).toBe(false);
  });
});

it('without flows.apiKeys a key is nobody, and the cookie decides', async () => {
  const t = await startTestApp({ controllers: [NotesController] });
  try {
    const cookie = await signInAs(t.app, (await createUser(t.app)).id);
    const ask = () =>
      request(t.url)
        .get('/notes')
        .set('Authorization', `Bearer lk_${'A'.repeat(43)}`);
    await ask().expect(401);
    await ask().set('Cookie', cookie).expect(200);
    await request(t.url).get('/auth/api-keys').set('Cookie', cookie).expect(404);
  } finally {
    await t.close();
  }
});

it('@AllowApiKey refuses a name that no scope can have, and a class', () => {
  for (const scope of ['', 'Notes', 'a b', undefined as unknown as string]) {
    expect(() => AllowApiKey(scope)).toThrow(TypeError);
  }
  expect(() => (AllowApiKey('notes:read') as ClassDecorator)(NotesController)).toThrow(TypeError);
});
