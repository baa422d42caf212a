import { createSecretKey, type KeyObject } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { JwtModule, JwtService } from '@nestjs/jwt';
import { AuthGuard, PassportModule, PassportStrategy } from '@nestjs/passport';
import { ExtractJwt, Strategy } from 'passport-jwt';
import type { Start } from '../../harness/contender.js';
import { listen, MeController, SECRET, type GuardedArgs, type GuardedHello, type Me } from './guarded-app.js';

/** As the documentation of NestJS has it: stateless, so what is signed is believed until it expires. */
const passportJwt =
  (key: string | KeyObject): Start<GuardedArgs, GuardedHello> =>
  async ({ platform, users, makesSessions }) => {
    @Injectable()
    class JwtStrategy extends PassportStrategy(Strategy) {
      constructor() {
        super({
          jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(),
          // Its types know no KeyObject; jsonwebtoken, which gets it, does.
          secretOrKey: key as string,
          algorithms: ['HS256'],
        });
      }

      validate({ sub, email }: { sub: string; email: string }): Me {
        return { id: sub, email };
      }
    }
    const { url, app } = await listen(
      {
        imports: [PassportModule, JwtModule.register({ secret: SECRET, signOptions: { expiresIn: '1d' } })],
        controllers: [MeController],
        providers: [JwtStrategy, { provide: APP_GUARD, useClass: AuthGuard('jwt') }],
      },
      platform,
    );
    const jwt = app.get(JwtService);
    const sessions = (makesSessions ? users : []).map((user) => ({
      headers: { authorization: `Bearer ${jwt.sign({ sub: user.id, email: user.email })}` },
      user,
    }));
    return { hello: { url, sessions }, close: () => app.close() };
  };

export const passportJwtByDefault = passportJwt(SECRET);
export const passportJwtWithKeyObject = passportJwt(createSecretKey(SECRET, 'utf8'));
