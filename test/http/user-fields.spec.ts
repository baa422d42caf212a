import { Controller, Get, Injectable } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import { describe, expect, it } from '@jest/globals';
import {
  authEntities,
  authMigrations,
  CurrentUser,
  PostgresUserDirectory,
  UserDirectory,
  type AuthUser,
} from 'nestjs-latchkey';
import { UserEntity } from 'nestjs-latchkey/engine';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { Column, Entity, type DataSource, type MigrationInterface, type QueryRunner } from 'typeorm';
import { createUser, PASSWORD, PLATFORMS } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';
import { until } from '../support/heard.js';

declare module 'nestjs-latchkey' {
  interface AuthUser {
    locale?: string;
    plan?: string | null;
  }
}

/** The application's view of the same table. */
@Entity('users', { synchronize: false })
class Member extends UserEntity {
  @Column({ type: 'text', default: 'en' })
  locale!: string;
}

class AddMembers1790000000000 implements MigrationInterface {
  name = 'AddMembers1790000000000';
  async up(queryRunner: QueryRunner) {
    await queryRunner.query(`ALTER TABLE users ADD COLUMN locale text NOT NULL DEFAULT 'en'`);
    await queryRunner.query(
      'CREATE TABLE subscriptions (user_id uuid PRIMARY KEY REFERENCES users, plan text NOT NULL)',
    );
  }
  async down() {}
}

@Injectable()
class Directory extends PostgresUserDirectory {
  override get fields() {
    return { locale: 'u.locale', plan: 'SELECT s.plan FROM subscriptions s WHERE s.user_id = u.id', id: `'nobody'` };
  }
}

@Controller()
class MeController {
  @Get('me')
  me(@CurrentUser() { email, locale, plan }: AuthUser) {
    return { email, locale, plan };
  }

  @Get('locale')
  locale(@CurrentUser('locale') locale: string) {
    return { locale };
  }
}

describe.each(PLATFORMS)("the application's fields on %s", (platform) => {
  const t = sharedTestApp({
    platform,
    auth: { users: Directory, jwt: { sessions: true } },
    controllers: [MeController],
    entities: [...authEntities, Member],
    migrations: [...authMigrations, AddMembers1790000000000],
  });

  it('are on the user, from the statement that a guarded request runs anyway', async () => {
    const ada = await createUser(t.app);
    expect(ada).toMatchObject({ locale: 'en', plan: null });
    const members = t.app.get<DataSource>(getDataSourceToken()).getRepository(Member);
    await members.update(ada.id, { locale: 'de' });
    await t.db.query(`INSERT INTO subscriptions VALUES ($1, 'gold')`, [ada.id]);
    const cookie = await signInAs(t.app, ada.id);
    const expected = { email: ada.email, locale: 'de', plan: 'gold' };
    await until(async () => {
      t.queries.reset();
      const { body } = await request(t.url).get('/me').set('Cookie', cookie).expect(200);
      return body.plan === 'gold' && body.locale === 'de';
    });
    expect(t.queries.statements.length).toBeLessThanOrEqual(1);
    await request(t.url).get('/locale').set('Cookie', cookie).expect(200, { locale: 'de' });
    const { body } = await request(t.url)
      .post('/auth/token')
      .send({ email: ada.email, password: PASSWORD })
      .expect(200);
    await request(t.url).get('/me').set('Authorization', `Bearer ${body.token}`).expect(200, expected);
    // Never one of ours.
    expect(await t.app.get(UserDirectory).findById(ada.id)).toMatchObject({ id: ada.id, ...expected });
    expect(await t.app.get(UserDirectory).findByLogin(ada.email)).toMatchObject({ id: ada.id, ...expected });
  });

  it('what a handler does to the roles of its user does not reach the next request', async () => {
    const ada = await createUser(t.app);
    expect(() => (ada.roles as string[]).push('admin')).toThrow(TypeError);
  });
});
