import { describe, expect, it } from '@jest/globals';
import { mistakesOf, withSecrets } from '../../test/support/config-mistakes.js';
import { HOSTILE_RETURNS } from '../../test/support/hostile-returns.js';
import { Mailer } from '../mail/mailer.js';
import { isLocalPath } from './local-path.js';

class SomeMailer extends Mailer {
  override async send(): Promise<void> {}
}

const BASE = 'https://app.example.com';

describe('F20: the paths that a user is led to', () => {
  it.each(HOSTILE_RETURNS)('F20: %j is none, as the login page and as the page of a link', (path) => {
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
