import { describe, expect, it } from '@jest/globals';
import { signInAs } from 'nestjs-latchkey/testing';
import { createUser, PLATFORMS } from '../support/app.js';
import { PAGES, PlainBrowser } from '../support/pages.js';
import { sharedTestApp } from '../support/shared-app.js';

describe.each(PLATFORMS)('passwords on the pages, on %s', (platform) => {
  const t = sharedTestApp({ platform, auth: PAGES });

  it('F33: every field of a password hides it, and takes what is pasted or filled in (ASVS 6.2.6, 6.2.7)', async () => {
    const browser = new PlainBrowser(t.url);
    browser.take(await signInAs(t.app, (await createUser(t.app)).id));
    const names = [];
    for (const page of ['sign-in', 'register', 'confirm', 'reset', 'password', 'step-up']) {
      const { text } = await browser.open(page);
      for (const [input] of text.matchAll(/<input\s[^>]*>/g)) {
        const { name, type, autocomplete } = Object.fromEntries(
          [...input.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key!, value!]),
        );
        if (!/password/i.test(name!)) continue;
        names.push(name);
        expect([page, type]).toEqual([page, 'password']);
        expect([page, autocomplete]).toEqual([page, expect.stringMatching(/^(?:current|new)-password$/)]);
      }
    }
    expect(names).toEqual([
      'password',
      'password',
      'password',
      'password',
      'currentPassword',
      'newPassword',
      'password',
    ]);
    const [, script] = /<script src="([^"]+)"/.exec((await browser.open('sign-in')).text)!;
    expect((await browser.open(script!)).text).not.toMatch(/paste|onbeforeinput|keydown/);
  });
});
