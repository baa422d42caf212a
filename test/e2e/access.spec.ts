import { Controller, Get } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import { CurrentUser, OptionalAuth, Public, RedirectIfAuthenticated } from 'nestjs-latchkey';
import request from 'supertest';
import { sharedTestApp } from '../support/shared-app.js';

class Pages {
  @Get('inherited')
  inherited(@CurrentUser('email') email: string | null) {
    return { email };
  }

  @Public()
  @Get('open')
  open() {
    return {};
  }
}

@Public()
@Controller('public')
class PublicController extends Pages {}

@Controller('sub')
class SubController extends PublicController {
  @Get('own')
  own() {
    return {};
  }
}

@OptionalAuth()
@Controller('optional')
class OptionalController extends Pages {}

@Controller('sub-optional')
class SubOptionalController extends OptionalController {}

@RedirectIfAuthenticated('/')
@Controller('guests')
class GuestsController extends Pages {}

@Controller('sub-guests')
class SubGuestsController extends GuestsController {}

@Public()
@Controller('sub-public')
class SubPublicController extends SubController {}

describe('H9: what a class says of its handlers holds for this class, and its subclasses are guarded', () => {
  const t = sharedTestApp({
    controllers: [
      PublicController,
      SubController,
      OptionalController,
      SubOptionalController,
      GuestsController,
      SubGuestsController,
      SubPublicController,
    ],
  });

  it.each([
    ['/public/inherited', 200],
    ['/sub/own', 401],
    ['/sub/inherited', 401],
    ['/sub/open', 200],
    ['/optional/inherited', 200],
    ['/sub-optional/inherited', 401],
    ['/guests/inherited', 200],
    ['/sub-guests/inherited', 401],
    ['/sub-public/own', 200],
    ['/sub-public/inherited', 200],
  ])('GET %s: %i', async (path, status) => {
    expect((await request(t.url).get(path)).status).toBe(status);
  });
});
