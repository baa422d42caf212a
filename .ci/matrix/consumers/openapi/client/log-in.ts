import type { Client } from 'openapi-fetch';
import type { paths } from './api.js';

export async function logIn(client: Client<paths>, email: string, password: string): Promise<string> {
  const { data, error } = await client.POST('/api/auth/login', { body: { email, password } });
  if (data) return `Welcome, ${data.user.email}.`;
  if ('code' in error && error.code === 'RATE_LIMITED') return 'Too many attempts. Try again later.';
  return 'That did not work.';
}
