import { execFileSync, spawnSync } from 'node:child_process';
import { describe, expect, it } from '@jest/globals';
import { seconds } from 'nestjs-latchkey';
import { totpOf } from 'nestjs-latchkey/testing';
import request from 'supertest';
import { createUser } from '../support/app.js';
import { sharedTestApp } from '../support/shared-app.js';
import { cookiesIn, enrol, pendingLogin, TWO_FACTOR } from '../support/two-factor.js';

// Debian's oathtool, an implementation of RFC 6238 that is not ours. `.ci/run` installs it.
const isThere = spawnSync('oathtool', ['--version']).status === 0;

const codeOf = (secret: string, at: number) =>
  execFileSync('oathtool', ['--totp', '--base32', `--now=@${Math.floor(at / 1000)}`, secret], {
    encoding: 'utf8',
  }).trim();

const described = isThere || process.env['CI'] === 'true' ? describe : describeMissing;

described('the codes of oathtool', () => {
  const t = sharedTestApp({ auth: TWO_FACTOR });

  it('F47: log in, and are those of totpOf, over many steps', async () => {
    const ada = await createUser(t.app);
    const { secret } = await enrol(t, ada);
    for (let i = 0; i < 20; i++) {
      t.clock.advance(seconds(30 * 12_345));
      expect(codeOf(secret, t.clock.now())).toBe(totpOf(secret, t.clock));
    }
    const { token, challenge } = await pendingLogin(t, ada);
    const body = { token, method: 'totp', code: codeOf(secret, t.clock.now()) };
    const done = await request(t.url).post('/auth/2fa/verify').set('Cookie', challenge).send(body).expect(200);
    await request(t.url).get('/auth/session').set('Cookie', cookiesIn(done)).expect(200);
  });
});

/** Said, and no failure, on a machine of a developer. */
function describeMissing(name: string, _body: () => void): void {
  describe(name, () => {
    it('cannot be asked for: install oathtool (apt-get install oathtool) to run this', () => {
      expect(isThere).toBe(false);
    });
  });
}
