import type { Response } from 'supertest';

/** The `Cookie` header that a browser would send after this answer. */
export function cookieOf(answer: Response): string {
  const header = answer.get('Set-Cookie')?.[0];
  if (!header) throw new Error('The answer sets no cookie.');
  return header.slice(0, header.indexOf(';'));
}

export function tokenOf(answer: Response): string {
  const cookie = cookieOf(answer);
  return cookie.slice(cookie.indexOf('=') + 1);
}
