import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { GraphQLModule, Mutation, Query, Resolver } from '@nestjs/graphql';
import { CurrentUser, OptionalAuth, Public } from 'nestjs-latchkey';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, startTestApp, type TestApp } from '../support/app.js';

@Resolver()
class MeResolver {
  @Query('me')
  me(@CurrentUser('email') email: string) {
    return email;
  }

  @Public()
  @Query('open')
  open(@CurrentUser('email') email: string | null) {
    return email ?? 'nobody';
  }

  @OptionalAuth()
  @Query('who')
  who(@CurrentUser('email') email: string | null) {
    return email ?? 'nobody';
  }

  @Mutation('change')
  change(@CurrentUser('email') email: string) {
    return email;
  }
}

describe('GraphQL (Apollo on Express) behind the global guard', () => {
  let t: TestApp;
  let cookie: string;
  beforeAll(async () => {
    t = await startTestApp({
      providers: [MeResolver],
      imports: [
        GraphQLModule.forRoot<ApolloDriverConfig>({
          driver: ApolloDriver,
          typeDefs: 'type Query { me: String open: String who: String } type Mutation { change: String }',
          context: ({ req, res }: { req: object; res: object }) => ({ req, res }),
        }),
      ],
    });
    cookie = await signInAs(t.app, (await createUser(t.app, 'ada@example.com')).id);
  });
  afterAll(() => t?.close());

  const ask = (query: string, headers: Record<string, string> = {}) =>
    request(t.url).post('/graphql').set(headers).send({ query });

  it('knows the user; public and optional fields behave', async () => {
    const { body, headers } = await ask('{ me who open }', { Cookie: cookie });
    expect(body).toEqual({ data: { me: 'ada@example.com', who: 'ada@example.com', open: 'nobody' } });
    expect(headers['cache-control']).toBe('no-store');
  });

  it('refuses the guarded field with our code, and answers the others', async () => {
    const { body } = await ask('{ me who open }');
    expect(body.data).toEqual({ me: null, who: 'nobody', open: 'nobody' });
    expect(body.errors).toHaveLength(1);
    expect(body.errors[0]).toMatchObject({
      path: ['me'],
      message: 'Authentication required.',
      extensions: { code: 'UNAUTHENTICATED' },
    });
  });

  it('R29: refuses a mutation from a foreign page', async () => {
    const { body } = await ask('mutation { change }', { Cookie: cookie, Origin: 'https://evil.example' });
    expect(body.errors[0].extensions.code).toBe('CROSS_ORIGIN_REQUEST');
    expect((await ask('mutation { change }', { Cookie: cookie })).body).toEqual({
      data: { change: 'ada@example.com' },
    });
  });
});
