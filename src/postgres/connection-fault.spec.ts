import { describe, expect, it } from '@jest/globals';
import { connectionFault } from './connection-fault.js';

const denied = (message: string) => Object.assign(new Error(`permission denied for ${message}`), { code: '42501' });

describe('connectionFault', () => {
  it.each([
    ['schema public', 'GRANT USAGE, CREATE ON SCHEMA "public" TO "app"'],
    ['schema a-b', 'GRANT USAGE, CREATE ON SCHEMA "a-b" TO "app"'],
    ['schema say "a"', 'GRANT USAGE, CREATE ON SCHEMA "say ""a""" TO "app"'],
    ['table sessions', 'GRANT USAGE ON SCHEMA <schema> TO "app"'],
  ])('for %s: the statement that gives the right which is missing', (what, statement) => {
    expect(connectionFault(denied(what), { role: 'app' })?.remedy).toContain(`\`${statement}`);
  });

  it('of several addresses, the code of the first; of another error, nothing', () => {
    const refused = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
    expect(connectionFault(new AggregateError([refused, new Error('other')]))?.code).toBe('ECONNREFUSED');
    for (const other of [new Error('other'), 'text', null, undefined]) expect(connectionFault(other)).toBeUndefined();
  });
});
