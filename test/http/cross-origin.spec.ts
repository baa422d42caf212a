import { Controller, Post } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import { CrossOrigin, CurrentUser, Public } from 'nestjs-latchkey';
import { signInAs } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser, PLATFORMS } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';

class Handlers {
  @Public()
  @Post('inherited')
  inherited() {
    return {};
  }

  @Public()
  @CrossOrigin()
  @Post('form')
  form() {
    return {};
  }

  @CrossOrigin()
  @Post('guarded')
  guarded(@CurrentUser('id') id: string) {
    return { id };
  }

  @Public()
  @CrossOrigin(false)
  @Post('same')
  same() {
    return {};
  }
}

@Controller('plain')
class PlainController extends Handlers {}

@CrossOrigin()
@Controller('cross')
class CrossController extends Handlers {}

@Controller('sub')
class SubController extends CrossController {}

const FOREIGN = { origin: 'https://idp.example', 'sec-fetch-site': 'cross-site' };

describe.each(PLATFORMS)('@CrossOrigin() takes requests from foreign pages, on %s', (platform) => {
  const t = sharedTestApp({ platform, controllers: [PlainController, CrossController, SubController] });

  it.each([
    ['/plain/form', 201],
    ['/plain/inherited', 403],
    ['/plain/guarded', 401],
    ['/cross/inherited', 201],
    ['/cross/same', 403],
    ['/sub/inherited', 403],
    ['/sub/form', 201],
    ['/auth/login', 403],
  ])('POST %s: %i', async (path, status) => {
    expect((await request(t.url).post(path).set(FOREIGN).type('form').send({ state: 'x' })).status).toBe(status);
  });

  it('a guarded handler still asks for a session', async () => {
    const { id } = await createUser(t.app);
    const Cookie = await signInAs(t.app, id);
    await request(t.url)
      .post('/plain/guarded')
      .set({ ...FOREIGN, Cookie })
      .expect(201, { id });
  });
});
