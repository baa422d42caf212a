import { expect, it } from '@jest/globals';
import { importedUserId } from './imported-user-id.js';

it('a UUID stays, and of any other id a version 5 UUID is made, the same for ever', () => {
  expect(importedUserId('0190A0B0-0000-7000-8000-00000000000F')).toBe('0190a0b0-0000-7000-8000-00000000000f');
  expect(importedUserId('42')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  // Accounts have these ids.
  expect(importedUserId('42')).toMatchInlineSnapshot(`"6b5487b9-cfb9-5416-b609-8f5e7d1ccefb"`);
  expect(importedUserId('é')).not.toBe(importedUserId('e\u0301'));
});
