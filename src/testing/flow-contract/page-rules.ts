import assert from 'node:assert/strict';
import type { Rule } from './contract.js';

/** `flows.pages`. */
export const PAGE_RULES: readonly Rule[] = [
  [
    'F87: no page is framed, and none runs anything but its own files',
    async (c) => {
      const browser = await c.browser();
      for (const page of ['p/sign-in', 'p/sign-in?next=https://example.org', 'p/two-factor']) {
        const { status, headers, text } = await browser.send('GET', page);
        if (status === 303) continue;
        assert.equal(status, 200, `GET ${page} answered ${status}`);
        const policy = headers.get('content-security-policy') ?? '';
        for (const part of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]) {
          assert(policy.includes(part), `${page}: the Content-Security-Policy lacks ${part}`);
        }
        assert(!policy.includes('unsafe'), `${page}: the Content-Security-Policy allows something unsafe`);
        assert.equal(headers.get('cache-control'), 'no-store', `${page} may be kept by a cache`);
        assert(!text.includes('example.org'), `${page} leads to another site`);
      }
    },
  ],
];
