import { describe, expect, it } from '@jest/globals';
import { isAuthError } from '../auth.errors.js';
import { AuthConfig } from './auth-config.js';

class SomeMailer {}
const baseUrl = 'https://app.example.com';
const secrets = ['x'.repeat(32)];

function mistakes(options: object, mailer: unknown): readonly string[] {
  try {
    AuthConfig.from({ secrets, ...options }, { mailer });
    return [];
  } catch (error) {
    if (isAuthError(error, 'INVALID_CONFIG')) return error.facts.mistakes;
    throw error;
  }
}

describe('mail settings', () => {
  it('without a mailer there are none', () => {
    expect(AuthConfig.from({ secrets }).mail).toBeUndefined();
  });

  it('have defaults', () => {
    const { mail } = AuthConfig.from({ secrets, baseUrl }, { mailer: SomeMailer });
    expect(mail).toMatchObject({ timeout: 30_000, concurrency: 8, queue: 1_000, shutdownTimeout: 10_000 });
  });

  it.each<[string, object, unknown, RegExp]>([
    ['a mailer without baseUrl', {}, SomeMailer, /^mailer needs baseUrl/],
    ['an instance for a mailer', { baseUrl }, new SomeMailer(), /^mailer must be a class that extends Mailer/],
    ['mail without a mailer', { baseUrl, mail: { site: 'Notes' } }, undefined, /^mail needs mailer/],
    ['a site of two lines', { baseUrl, mail: { site: 'Notes\nBcc: x' } }, SomeMailer, /^mail\.site/],
    [
      'a factor without a name',
      { baseUrl, mail: { factorNames: { totp: '' } } },
      SomeMailer,
      /^mail\.factorNames\.totp/,
    ],
    ['names in a list', { baseUrl, mail: { factorNames: ['totp'] } }, SomeMailer, /^mail\.factorNames/],
    ['an empty site', { baseUrl, mail: { site: '' } }, SomeMailer, /^mail\.site/],
    [
      'a page elsewhere',
      { baseUrl, mail: { pages: { magic_link: '//evil.example' } } },
      SomeMailer,
      /magic_link must be/,
    ],
    ['a page with a fragment', { baseUrl, mail: { pages: { magic_link: '/#/x' } } }, SomeMailer, /magic_link .*'#'/],
    ['pages that are no object', { baseUrl, mail: { pages: [] } }, SomeMailer, /^mail\.pages must be an object/],
    [
      'a text that is no function',
      { baseUrl, mail: { texts: { no_password: 'x' } } },
      SomeMailer,
      /texts\.no_password/,
    ],
    ['texts that are no object', { baseUrl, mail: { texts: 5 } }, SomeMailer, /^mail\.texts must be an object/],
    ['no timeout', { baseUrl, mail: { timeout: Infinity } }, SomeMailer, /^mail\.timeout/],
    ['none at once', { baseUrl, mail: { concurrency: 0 } }, SomeMailer, /^mail\.concurrency/],
    ['an endless queue', { baseUrl, mail: { queue: Infinity } }, SomeMailer, /^mail\.queue/],
    ['an endless shutdown', { baseUrl, mail: { shutdownTimeout: Infinity } }, SomeMailer, /^mail\.shutdownTimeout/],
    ['an unknown setting', { baseUrl, mail: { from: 'x' } }, SomeMailer, /^mail\.from is not an option/],
  ])('refuse %s', (_, options, mailer, remedy) => {
    expect(mistakes(options, mailer)).toEqual([expect.stringMatching(remedy)]);
  });

  it.each([
    'http://app.example.com',
    'http://localhost.example.com',
    'http://127.0.0.1.example.com',
    'http://128.0.0.1',
  ])('F18: %s is refused while cookies are secure', (plain) => {
    expect(mistakes({ baseUrl: plain }, SomeMailer)).toEqual([expect.stringMatching(/^baseUrl must begin with https/)]);
    expect(mistakes({ baseUrl: plain, cookie: { secure: false } }, SomeMailer)).toEqual([]);
  });

  it.each(['http://localhost:3000', 'http://notes.localhost', 'http://127.0.0.1:3000', 'http://[::1]:3000'])(
    'F18: %s is this machine, and may be plain',
    (local) => {
      expect(mistakes({ baseUrl: local }, SomeMailer)).toEqual([]);
    },
  );
});
