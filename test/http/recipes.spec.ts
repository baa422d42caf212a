import { beforeEach, describe, expect, it } from '@jest/globals';
import { AuthTransaction, EphemeralTokenService, minutes, PostgresUserDirectory, type AuthUser } from 'nestjs-latchkey';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { RecipesModule } from '../app/recipes/recipes.module.js';
import { createUser, PLATFORMS } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';

describe.each(PLATFORMS)('recipes on %s', (platform) => {
  const t = sharedTestApp({ platform, imports: [RecipesModule], auth: { jwt: { sessions: true } } });
  let ada: AuthUser;

  beforeEach(async () => {
    t.clock.advance(minutes(20));
    ada = await createUser(t.app);
  });

  describe('download link', () => {
    const link = async (id: string) => {
      const cookie = await signInAs(t.app, ada.id);
      return (
        (await request(t.url).post(`/files/${id}/link`).set('Cookie', cookie).expect(201)).body as { url: string }
      ).url;
    };

    it('T: bound to file 5: file 6 is refused, then file 5 is served, once', async () => {
      const url = await link('5');
      await request(t.url).get(url.replace('/5?', '/6?')).expect(404);
      expect((await request(t.url).get(url).expect(200)).body).toEqual({ file: '5' });
      await request(t.url).get(url).expect(404);
    });

    it('is over after five minutes, and asked for by those who are logged in', async () => {
      const url = await link('7');
      t.clock.advance(minutes(5));
      await request(t.url).get(url).expect(404);
      await request(t.url).post('/files/7/link').expect(401);
    });
  });

  describe('AuthTransaction', () => {
    it('undoes everything when the work throws, and passes the error on', async () => {
      const tokens = t.app.get(EphemeralTokenService);
      const token = await tokens.issue('password_reset', { username: ada.email });
      const work = t.app.get(AuthTransaction).run(async () => {
        await tokens.consume('password_reset', token);
        throw new RangeError('changed my mind');
      });
      await expect(work).rejects.toThrow(RangeError);
      expect(await tokens.peek('password_reset', token)).not.toBeNull();
    });

    it('a connection killed inside: an error, nothing half done, and the pool goes on', async () => {
      const tokens = t.app.get(EphemeralTokenService);
      const token = await tokens.issue('password_reset', { username: ada.email });
      const work = t.app.get(AuthTransaction).run(async () => {
        await tokens.consume('password_reset', token);
        await t.db.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND state = 'idle in transaction'`);
        await t.app.get(PostgresUserDirectory).findById(ada.id);
      });
      await expect(work).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
      expect(await tokens.consume('password_reset', token)).not.toBeNull();
    });

    it('50 at once on a pool of ten', async () => {
      const tokens = t.app.get(EphemeralTokenService);
      const transaction = t.app.get(AuthTransaction);
      const token = await tokens.issue('password_reset', { username: ada.email });
      const results = await Promise.all(
        Array.from({ length: 50 }, () => transaction.run(() => tokens.consume('password_reset', token))),
      );
      expect(results.filter((fields) => fields !== null)).toHaveLength(1);
    });
  });
});
