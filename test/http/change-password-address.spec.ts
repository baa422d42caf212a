import { VersioningType, type INestApplication } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import request from 'supertest';
import { createUser, PASSWORD, PLATFORMS } from '../support/app.js';
import { MAIL } from '../support/flows.js';
import { PAGES, PlainBrowser } from '../support/pages.js';
import { sharedTestApp } from '../support/shared-app.js';

const ADDRESS = '/.well-known/change-password';

describe.each(PLATFORMS)('GET /.well-known/change-password on %s', (platform) => {
  describe.each<[string, (app: INestApplication) => void, string]>([
    ['at the root', () => undefined, '/auth/p/'],
    ['below a global prefix', (app) => app.setGlobalPrefix('api'), '/api/auth/p/'],
    [
      'with a version in the path',
      (app) => app.setGlobalPrefix('/api').enableVersioning({ type: VersioningType.URI, defaultVersion: '2' }),
      '/api/v2/auth/p/',
    ],
  ])('%s', (_, configure, base) => {
    const t = sharedTestApp({ platform, auth: PAGES, configure });

    it('leads to the page for a new password, by way of the sign-in', async () => {
      const answer = await request(t.url).get(ADDRESS).redirects(0).expect(302);
      // As a browser resolves it, also behind a proxy that puts a path in front.
      const page = new URL(answer.get('Location')!, `${t.url}${ADDRESS}`);
      expect(page.pathname).toBe(`${base}password`);
      expect(new URL(answer.get('Location')!, `https://example.com/notes${ADDRESS}`).pathname).toBe(
        `/notes${base}password`,
      );
      const browser = new PlainBrowser(t.url, base);
      const asked = await browser.open(page.pathname);
      expect([asked.status, asked.to]).toEqual([303, expect.stringContaining('sign-in?')]);
      const { email } = await createUser(t.app);
      const next = new URL(asked.to!, t.url).searchParams.get('next') ?? 'account';
      expect(await browser.post('sign-in', { email, password: PASSWORD, next })).toMatchObject({ to: 'password' });
      expect((await browser.open(page.pathname)).status).toBe(200);
    });

    it('is the only one of its kind: an address that cannot exist is not found, as the specification asks', async () => {
      await request(t.url)
        .get('/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200')
        .expect(404);
    });
  });

  describe.each<['pages' | 'passwordChange']>([['pages'], ['passwordChange']])('without flows.%s', (name) => {
    const { [name]: _, ...flows } = PAGES.flows;
    const t = sharedTestApp({ platform, auth: { ...PAGES, mail: MAIL.mail, flows } });

    it('is not answered', () => request(t.url).get(ADDRESS).expect(404));
  });
});
