import { Injectable, UnauthorizedException, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { betterAuth } from 'better-auth';
import { getMigrations } from 'better-auth/db/migration';
import { fromNodeHeaders } from 'better-auth/node';
import { randomUUID } from 'node:crypto';
import { Pool } from 'pg';
import type { Start } from '../../harness/contender.js';
import {
  cookieOf,
  listen,
  MeController,
  POOL_SIZE,
  SECRET,
  type GuardedArgs,
  type GuardedHello,
  type RequestWithUser,
} from './guarded-app.js';

const PASSWORD = 'no hash is measured here';

const withBetterAuth =
  (cookieCache: { enabled: boolean; maxAge?: number }): Start<GuardedArgs, GuardedHello> =>
  async ({ platform, databaseUrl, users, makesSessions }) => {
    const pool = new Pool({ connectionString: databaseUrl, max: POOL_SIZE });
    const auth = betterAuth({
      database: pool,
      baseURL: 'http://127.0.0.1',
      secret: SECRET,
      session: { cookieCache },
      emailAndPassword: {
        enabled: true,
        password: { hash: async (password) => password, verify: async ({ hash, password }) => hash === password },
      },
      advanced: { database: { generateId: () => randomUUID() } },
      telemetry: { enabled: false },
      logger: { disabled: true },
    });
    if (makesSessions) await (await getMigrations(auth.options)).runMigrations();

    @Injectable()
    class BetterAuthGuard implements CanActivate {
      async canActivate(context: ExecutionContext): Promise<boolean> {
        const request = context.switchToHttp().getRequest<RequestWithUser>();
        const found = await auth.api.getSession({ headers: fromNodeHeaders(request.headers) });
        if (!found) throw new UnauthorizedException();
        request.user = found.user;
        return true;
      }
    }
    const sessions = [];
    for (const { email } of makesSessions ? users : []) {
      const { response, headers } = await auth.api.signUpEmail({
        body: { email, name: email, password: PASSWORD },
        returnHeaders: true,
      });
      sessions.push({
        headers: { cookie: cookieOf(headers.getSetCookie()) },
        user: { id: response.user.id, email: response.user.email },
      });
    }
    const { url, app } = await listen(
      { controllers: [MeController], providers: [{ provide: APP_GUARD, useClass: BetterAuthGuard }] },
      platform,
    );
    return { hello: { url, sessions }, close: () => Promise.all([app.close(), pool.end()]) };
  };

export const betterAuthDatabase = withBetterAuth({ enabled: false });
/** Kept for as long as the run takes; its default is five minutes, then it asks the database. */
export const betterAuthCookieCache = withBetterAuth({ enabled: true, maxAge: 86_400 });
