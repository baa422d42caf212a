import { Body, Controller, HttpCode, Injectable, Post, Req, UnauthorizedException } from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import connectPgSimple from 'connect-pg-simple';
import session from 'express-session';
import { Pool } from 'pg';
import { UseGuards } from '@nestjs/common';
import type { Start } from '../../harness/contender.js';
import {
  cookieOf,
  listen,
  MeController,
  POOL_SIZE,
  SECRET,
  type GuardedArgs,
  type GuardedHello,
  type Me,
  type RequestWithUser,
} from './guarded-app.js';

interface RequestWithSession extends RequestWithUser {
  session: { user?: Me };
  raw?: RequestWithSession;
}

/** On Fastify the middleware works on the request of Node. */
const sessionOf = (request: RequestWithSession) => (request.raw ?? request).session;

@Injectable()
class LoggedInGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<RequestWithSession>();
    const { user } = sessionOf(request);
    if (!user) throw new UnauthorizedException();
    request.user = user;
    return true;
  }
}

@Controller('login')
class LoginController {
  @Post()
  @HttpCode(204)
  login(@Req() request: RequestWithSession, @Body() user: Me): void {
    sessionOf(request).user = user;
  }
}

@UseGuards(LoggedInGuard)
class GuardedMeController extends MeController {}

/** The user is kept in the session, so no second query asks for it: what it answers is of the time of the login. */
const expressSession =
  (tuning: { disableTouch?: boolean }): Start<GuardedArgs, GuardedHello> =>
  async ({ platform, databaseUrl, users, makesSessions }) => {
    const pool = new Pool({ connectionString: databaseUrl, max: POOL_SIZE });
    const store = new (connectPgSimple(session))({ pool, createTableIfMissing: true, ...tuning });
    const { url, app } = await listen(
      { controllers: [GuardedMeController, LoginController] },
      platform,
      (application) =>
        void application.use(session({ store, secret: SECRET, resave: false, saveUninitialized: false })),
    );
    const sessions = [];
    for (const user of makesSessions ? users : []) {
      const body = JSON.stringify(user);
      const login = await fetch(new URL('/login', url), {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      });
      sessions.push({ headers: { cookie: cookieOf(login.headers.getSetCookie()) }, user });
    }
    return {
      hello: { url, sessions },
      close: async () => {
        store.close();
        await app.close();
        await pool.end();
      },
    };
  };

/** As it comes: every request writes the expiry. */
export const expressSessionByDefault = expressSession({});
/** Without that write, so that a session in use ends in the middle of it. */
export const expressSessionReadOnly = expressSession({ disableTouch: true });
