import { strict as assert } from 'node:assert';
import createClient from 'openapi-fetch';
import type { components, paths } from './api.js';
import { logIn as tell } from './log-in.js';

/** The schemas have names that a client's own code can use. */
const isLive = ({ expiresAt }: components['schemas']['AuthSession']) => Date.parse(expiresAt) > Date.now();

/** What a front end does with a client that was generated from the document: log in, list, revoke, log out. */
export async function run(baseUrl: string, email: string, password: string): Promise<void> {
  const client = createClient<paths>({ baseUrl });
  const logIn = async () => {
    const { data, response } = await client.POST('/api/auth/login', { body: { email, password } });
    assert.equal(data?.user.email, email);
    const [cookie] = response.headers.getSetCookie();
    return { headers: { Cookie: cookie.split(';')[0] } };
  };
  const laptop = await logIn();
  const phone = await logIn();

  const { data: sessions = [] } = await client.GET('/api/auth/sessions', laptop);
  const other = sessions.find(({ current }) => !current);
  assert.equal(sessions.length, 2);
  assert.ok(other && isLive(other));
  const params = { path: { handle: other.handle } };
  assert.ok((await client.DELETE('/api/auth/sessions/{handle}', { ...laptop, params })).data);
  assert.equal((await client.GET('/api/auth/session', phone)).error?.code, 'UNAUTHENTICATED');

  const { data: issued } = await client.POST('/api/auth/token', { body: { email, password } });
  const bearer = { headers: { Authorization: `${issued?.tokenType} ${issued?.token}` } };
  const me = await client.GET('/api/auth/session', { ...bearer, params: { query: { extend: false } } });
  assert.equal(me.data?.user.id, issued?.user.id);
  // The application's own route, beside ours.
  assert.deepEqual((await client.GET('/api/notes', bearer)).data, [{ text: 'first' }]);

  assert.equal(await tell(client, email, password), `Welcome, ${email}.`);
  const refused = await client.POST('/api/auth/login', { body: { email, password: 'wrong' } });
  assert.ok(refused.error && 'code' in refused.error && refused.error.code === 'INVALID_CREDENTIALS');
  assert.equal((await client.POST('/api/auth/logout-all', laptop)).data?.ended, 3);
  assert.equal((await client.GET('/api/auth/sessions', bearer)).response.status, 401);

  // What the document does not say does not compile.
  // @ts-expect-error: there is no such route
  await client.GET('/api/auth/nowhere');
  // @ts-expect-error: a login has a password
  await client.POST('/api/auth/login', { body: { email } });
  // @ts-expect-error: there is no such code here
  assert.ok(refused.error.code !== 'SESSION_NOT_FOUND');
}
