import { Controller, Get } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import {
  authEntities,
  authMigrations,
  AuthModule,
  CurrentUser,
  JwtCodecService,
  SessionService,
  type AuthOptions,
  type AuthUser,
} from 'nestjs-latchkey';
import { SignedCookieSession } from 'nestjs-latchkey/engine';
import type { INestApplication } from '@nestjs/common';
import type { Start } from '../../harness/contender.js';
import type { Headers } from '../../harness/http-load.js';
import { listen, POOL_SIZE, SECRET, type GuardedArgs, type GuardedHello, type Me } from './guarded-app.js';

@Controller('me')
class MeController {
  @Get()
  me(@CurrentUser() { id, email }: AuthUser): Me {
    return { id, email };
  }
}

type MakeSession = (app: INestApplication, user: Me) => Promise<Headers> | Headers;

/** AuthModule as the README shows it, with these options; the guard is the global one. */
const latchkey =
  (options: Partial<AuthOptions>, makeSession: MakeSession): Start<GuardedArgs, GuardedHello> =>
  async ({ platform, databaseUrl, users, makesSessions }) => {
    const { url, app } = await listen(
      {
        imports: [
          TypeOrmModule.forRoot({
            type: 'postgres',
            url: databaseUrl,
            entities: authEntities,
            migrations: authMigrations,
            poolSize: POOL_SIZE,
          }),
          AuthModule.forRoot({ secrets: [SECRET], ...options }),
        ],
        controllers: [MeController],
      },
      platform,
    );
    const sessions = [];
    for (const user of makesSessions ? users : []) sessions.push({ headers: await makeSession(app, user), user });
    return { hello: { url, sessions }, close: () => app.close() };
  };

const inCookie = (value: string): Headers => ({ cookie: `__Host-session=${value}` });
const opaque: MakeSession = async (app, user) => inCookie((await app.get(SessionService).create(user.id)).token);
const cached = { cache: { enabled: true } };

export const uncachedSession = latchkey({}, opaque);
export const cachedSession = latchkey(cached, opaque);
export const signedCookie = latchkey({ ...cached, session: { scheme: 'signed-cookie' } }, (app, { id, email }) => {
  const cookies = app.get(SignedCookieSession);
  return inCookie(cookies.encode(cookies.makeIdentity({ sub: id, providerId: 'basic', email })));
});
const jwtOf: MakeSession = (app, { id }) => ({ authorization: `Bearer ${app.get(JwtCodecService).encode(id).token}` });
export const sessionJwt = latchkey({ ...cached, jwt: { sessions: true } }, jwtOf);
export const uncachedSessionJwt = latchkey({ jwt: { sessions: true } }, jwtOf);
