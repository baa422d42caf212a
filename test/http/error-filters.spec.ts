import {
  Catch,
  Controller,
  Get,
  HttpException,
  InternalServerErrorException,
  Module,
  Post,
  type ArgumentsHost,
  type CallHandler,
  type ExceptionFilter,
  type ExecutionContext,
  type INestApplication,
  type NestInterceptor,
} from '@nestjs/common';
import { APP_FILTER, HttpAdapterHost } from '@nestjs/core';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { AuthError, isAuthError, RateLimit, SessionService } from 'nestjs-latchkey';
import { catchError, throwError, type Observable } from 'rxjs';
import request from 'supertest';
import { PASSWORD, PLATFORMS, createUser, type TestAppOptions } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';

/** As in Nest's documentation: whatever is no HttpException is answered 500. */
@Catch()
class CatchEverythingFilter implements ExceptionFilter {
  constructor(private readonly adapterHost: HttpAdapterHost) {}

  catch(exception: unknown, host: ArgumentsHost): void {
    const status = exception instanceof HttpException ? exception.getStatus() : 500;
    const said = exception instanceof HttpException ? exception.getResponse() : {};
    const { httpAdapter } = this.adapterHost;
    httpAdapter.reply(host.switchToHttp().getResponse(), { mine: true, said }, status);
  }
}

/** Lets Nest's own exceptions through, and hides what it does not know. */
class ErrorMappingInterceptor implements NestInterceptor {
  intercept(_: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next
      .handle()
      .pipe(
        catchError((error) =>
          throwError(() => (error instanceof HttpException ? error : new InternalServerErrorException())),
        ),
      );
  }
}

@Controller()
class ThingsController {
  constructor(private readonly sessions: SessionService) {}

  @Get('guarded')
  guarded() {
    return {};
  }

  @RateLimit({ event: 'email_send' })
  @Post('limited')
  limited() {
    return {};
  }

  @Get('unknown')
  async unknown() {
    await this.sessions.create('00000000-0000-4000-8000-000000000000');
  }
}

@Module({ providers: [{ provide: APP_FILTER, useClass: CatchEverythingFilter }] })
class FilterModule {}

/** With which of them the host answers itself. */
const WAYS: [string, Partial<TestAppOptions>, boolean][] = [
  [
    'app.useGlobalFilters(catch-all)',
    { configure: (app: INestApplication) => app.useGlobalFilters(new CatchEverythingFilter(app.get(HttpAdapterHost))) },
    true,
  ],
  ['APP_FILTER before ours', { providers: [{ provide: APP_FILTER, useClass: CatchEverythingFilter }] }, false],
  ['APP_FILTER after ours', { imports: [FilterModule] }, true],
  [
    'an interceptor that maps errors',
    { configure: (app: INestApplication) => app.useGlobalInterceptors(new ErrorMappingInterceptor()) },
    false,
  ],
];

describe.each(PLATFORMS.flatMap((platform) => WAYS.map((way) => [platform, ...way] as const)))(
  'H24: on %s, with %s of the host',
  (platform, _, options, answersItself) => {
    const t = sharedTestApp({
      platform,
      controllers: [ThingsController],
      auth: { rateLimits: { policies: { email_send: { limit: 1, window: 60_000 } }, backoff: { base: 0 } } },
      ...options,
    });
    beforeAll(async () => {
      await createUser(t.app, 'ada@example.com');
    });

    const login = (body: object) => request(t.url).post('/auth/login').send(body);
    it.each<[number, string, () => request.Test]>([
      [401, 'UNAUTHENTICATED', () => request(t.url).get('/guarded')],
      [403, 'CROSS_ORIGIN_REQUEST', () => request(t.url).post('/limited').set('Origin', 'https://evil.example')],
      [422, 'INVALID_INPUT', () => login({ email: 5 })],
      [401, 'INVALID_CREDENTIALS', () => login({ email: 'ada@example.com', password: 'wrong' })],
    ])('answers %i %s', async (status, code, send) => {
      const answer = await send();
      expect(answer.status).toBe(status);
      const said = answersItself ? answer.body.said : answer.body;
      expect(said).toMatchObject({ statusCode: status, code, message: expect.any(String) });
      expect(answer.body.mine).toBe(answersItself ? true : undefined);
    });

    it('answers 429 RATE_LIMITED and 404 USER_NOT_FOUND', async () => {
      const { token } = (
        await request(t.url).post('/auth/token').send({ email: 'ada@example.com', password: PASSWORD })
      ).body;
      const bearer = { Authorization: `Bearer ${token}` };
      expect((await request(t.url).post('/limited').set(bearer)).status).toBe(201);
      expect((await request(t.url).post('/limited').set(bearer)).status).toBe(429);
      expect((await request(t.url).get('/unknown').set(bearer)).status).toBe(404);
    });
  },
);

describe('AuthError', () => {
  const cause = new Error('relation "sessions" does not exist');
  const error = new AuthError('STORE_UNAVAILABLE', 'Look at the database.', { part: 'The store' }, { cause });

  it('H24: is an HttpException, and an AuthError with its code, message, facts and cause', () => {
    expect(error).toBeInstanceOf(HttpException);
    expect(error).toBeInstanceOf(AuthError);
    expect(error).toBeInstanceOf(Error);
    expect(isAuthError(error, 'STORE_UNAVAILABLE')).toBe(true);
    expect({ ...error }).toMatchObject({ code: 'STORE_UNAVAILABLE', facts: { part: 'The store' }, name: 'AuthError' });
    expect(error.stack).toMatch(/^AuthError: Look at the database\.\n +at /);
    expect([error.message, error.cause, error.getStatus()]).toEqual(['Look at the database.', cause, 503]);
  });

  it('H24: shows a client neither message nor cause, and keeps the cause out of JSON', () => {
    expect(error.getResponse()).toEqual({
      statusCode: 503,
      code: 'STORE_UNAVAILABLE',
      message: 'Service temporarily unavailable.',
    });
    expect(JSON.stringify(error)).not.toContain('relation');
    expect(JSON.stringify(error)).not.toContain('Look at');
    const input = new AuthError('INVALID_INPUT', 'x', { fields: { email: 'must be a string' } });
    expect(input.getResponse()).toMatchObject({ fields: { email: 'must be a string' } });
  });
});
