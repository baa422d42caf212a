import type { ApolloDriverConfig } from '@nestjs/apollo';
import { describe, expect, it } from '@jest/globals';
import { Query, ResolveField, Resolver } from '@nestjs/graphql';
import { Authenticated, CurrentUser, Public, RateLimit } from 'nestjs-latchkey';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, startTestApp } from '../support/app.js';
import { apollo } from '../support/graphql.js';

class Note {
  readonly title = 'a title';
}

class NoteQueries {
  @Public()
  @Query('note')
  note() {
    return new Note();
  }
}

@Resolver('Note')
class PlainResolver extends NoteQueries {
  @ResolveField('draft')
  draft() {
    return 'a draft';
  }
}

@Resolver('Note')
class GuardedResolver extends NoteQueries {
  @Authenticated()
  @ResolveField('draft')
  draft(@CurrentUser('email') email: string) {
    return `a draft of ${email}`;
  }
}

@Resolver('Note')
class LimitedResolver extends NoteQueries {
  @RateLimit({ event: 'email_send' })
  @ResolveField('draft')
  draft() {
    return 'a draft';
  }
}

const start = (resolver: new () => object, options: Partial<ApolloDriverConfig> = {}) =>
  startTestApp({
    providers: [resolver],
    imports: [apollo('type Note { title: String draft: String } type Query { note: Note }', options)],
  });

describe('H1: the resolver of a GraphQL field', () => {
  it.each([
    ['@Authenticated()', GuardedResolver],
    ['@RateLimit()', LimitedResolver],
  ])('H1: %s that Nest would ignore fails the boot', async (_, resolver) => {
    const boot = start(resolver).then((t) => t.close());
    await expect(boot).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringMatching(/^\w+Resolver\.draft .*fieldResolverEnhancers: \['guards'\]/),
    });
  });

  it('boots without them, and the field is as open as its query', async () => {
    const t = await start(PlainResolver);
    try {
      const { body } = await request(t.url).post('/graphql').send({ query: '{ note { title draft } }' });
      expect(body.data).toEqual({ note: { title: 'a title', draft: 'a draft' } });
    } finally {
      await t.close();
    }
  });

  it("H1: with fieldResolverEnhancers: ['guards'] it is guarded, below a public query too", async () => {
    const t = await start(GuardedResolver, { fieldResolverEnhancers: ['guards'] });
    try {
      const ask = (cookie = '') =>
        request(t.url).post('/graphql').set('Cookie', cookie).send({ query: '{ note { title draft } }' });
      const { body } = await ask();
      expect(body.data).toEqual({ note: { title: 'a title', draft: null } });
      expect(body.errors[0].extensions.code).toBe('UNAUTHENTICATED');
      const cookie = await signInAs(t.app, (await createUser(t.app, 'ada@example.com')).id);
      expect((await ask(cookie)).body.data.note.draft).toBe('a draft of ada@example.com');
    } finally {
      await t.close();
    }
  });
});
