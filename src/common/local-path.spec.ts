import { describe, expect, it } from '@jest/globals';
import { mistakesOf, withSecrets } from '../../test/support/config-mistakes.js';
import { Mailer } from '../mail/mailer.js';
import { isLocalPath } from './local-path.js';

class SomeMailer extends Mailer {
  override async send(): Promise<void> {}
}

/** What leads elsewhere, or may in one browser or another. */
const HOSTILE = [
  'https://evil.example',
  'HTTPS://evil.example',
  'https:evil.example',
  'https:/evil.example',
  '//evil.example',
  '///evil.example',
  '////evil.example',
  '/\\evil.example',
  '/\\/evil.example',
  '\\\\evil.example',
  '\\/evil.example',
  '/\t/evil.example',
  '/\n/evil.example',
  '/\r/evil.example',
  '\t//evil.example',
  ' //evil.example',
  '/ /evil.example',
  '/login\r\nLocation: https://evil.example',
  '/login\\..\\evil',
  'javascript:alert(1)',
  'JaVaScRiPt:alert(1)',
  'data:text/html,x',
  'vbscript:x',
  'blob:https://evil.example/x',
  'evil.example',
  '@evil.example',
  ':80/x',
  '?x',
  '#x',
  '',
  '/\u0000',
  '/\u00a0/evil.example',
  '/\u2028evil',
  '/\u202eevil',
  '/\uff0fevil.example',
  '/\ud800',
];
const BASE = 'https://app.example.com';

describe('F20: the paths that a user is led to', () => {
  it.each(HOSTILE)('F20: %j is none, as the login page and as the page of a link', (path) => {
    expect(isLocalPath(path)).toBe(false);
    expect(mistakesOf(withSecrets({ loginPage: path }))).toContainEqual(
      expect.stringMatching(/^loginPage must be a path/),
    );
    const mail = { pages: { magic_link: path } };
    const mistakes = mistakesOf(withSecrets({ baseUrl: BASE, mail }), undefined, { mailer: SomeMailer });
    expect(mistakes).toContainEqual(expect.stringMatching(/^mail\.pages\.magic_link must be a path/));
  });

  it.each([null, undefined, 5, {}, ['/a'], { toString: () => '/a' }])('F20: %j is none', (path) => {
    expect(isLocalPath(path)).toBe(false);
  });

  it.each(['/', '/login', '/a/b?c=d&e=https://evil.example', '/a//b', '/@evil.example', '/:80', '/a%2f%2fb', '/./a'])(
    'F20: %j is one of ours for every browser',
    (path) => {
      expect(isLocalPath(path)).toBe(true);
      expect(new URL(path, BASE).origin).toBe(BASE);
    },
  );
});
