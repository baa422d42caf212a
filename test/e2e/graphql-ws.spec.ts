import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { GraphQLModule, Query, Resolver, Subscription } from '@nestjs/graphql';
import { CurrentUser, SessionConnections, SessionService, type AuthUser, type IssuedSession } from 'nestjs-latchkey';
import { createClient, type Client } from 'graphql-ws';
import { WebSocket } from 'ws';
import { createUser } from '../support/app.js';
import { until } from '../support/heard.js';
import { sharedPairOfApps } from '../support/shared-app.js';

@Resolver()
class MeResolver {
  @Query('me')
  me(@CurrentUser('email') email: string) {
    return email;
  }

  @Subscription('ticks')
  async *ticks(@CurrentUser('email') email: string) {
    yield { ticks: email };
    await new Promise(() => {});
  }
}

describe.each([
  ['Nest’s own context', {}],
  ['a context of the host', { context: (context: object) => ({ ...context }) }],
])('subscriptions over graphql-ws, with %s', (_context, contextOption) => {
  const auth = { cache: { enabled: true } };
  const [t, other] = sharedPairOfApps(
    {
      auth,
      providers: [MeResolver],
      imports: [
        GraphQLModule.forRootAsync<ApolloDriverConfig>({
          driver: ApolloDriver,
          inject: [SessionConnections],
          useFactory: (connections: SessionConnections) => ({
            typeDefs: 'type Query { me: String } type Subscription { ticks: String }',
            subscriptions: { 'graphql-ws': { onConnect: connections.graphqlWs() } },
            ...contextOption,
          }),
        }),
      ],
    },
    { auth },
  );
  let ada: AuthUser;
  let issued: IssuedSession;
  const clients: Client[] = [];
  beforeEach(async () => {
    ada = await createUser(t.app);
    issued = await t.app.get(SessionService).create(ada.id);
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.dispose();
    await until(() => t.app.get(SessionConnections).size.connections === 0);
  });

  /** Resolves when the socket has closed, with its code. */
  const connect = (connectionParams: Record<string, unknown>, headers: Record<string, string> = {}) => {
    let onClosed: (code: number) => void;
    const closed = new Promise<number>((resolve) => (onClosed = resolve));
    class WithHeaders extends WebSocket {
      constructor(url: string, protocols: string[]) {
        super(url, protocols, { headers });
      }
    }
    const client = createClient({
      url: `${t.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WithHeaders,
      connectionParams,
      retryAttempts: 0,
      lazy: true,
      on: { closed: (event) => onClosed((event as { code: number }).code) },
    });
    clients.push(client);
    return { client, closed };
  };
  const first = async (client: Client, query: string) => {
    for await (const answer of client.iterate({ query })) return answer.data;
    return null;
  };

  it.each([
    ['token', (token: string) => ({ token })],
    ['Authorization', (token: string) => ({ Authorization: `Bearer ${token}` })],
  ])('H13: `connectionParams` with %s is who the client is, to the guard too', async (_, params) => {
    const { client } = connect(params(issued.token), { Origin: 'https://another-page.example' });
    expect(await first(client, 'subscription { ticks }')).toEqual({ ticks: ada.email });
    expect(await first(client, '{ me }')).toEqual({ me: ada.email });
  });

  it('H13: the socket is closed when another process ends the session', async () => {
    const { client, closed } = connect({}, { Cookie: `__Host-session=${issued.token}` });
    const running = client.iterate({ query: 'subscription { ticks }' });
    expect((await running.next()).value).toMatchObject({ data: { ticks: ada.email } });
    const over = running.next().catch((event: unknown) => event);
    await other.app.get(SessionService).revoke(issued.session.id);
    expect(await closed).toBe(1008);
    await over;
  });

  it.each([
    ['nobody', {}, {}],
    ['a token of nobody', { token: 'A'.repeat(43) }, {}],
    ['a foreign page with the cookie', {}, { Origin: 'https://evil.example' }],
  ])('H13: %s is refused at the handshake', async (_, params, headers) => {
    const withCookie = 'Origin' in headers ? { ...headers, Cookie: `__Host-session=${issued.token}` } : headers;
    const { client, closed } = connect(params, withCookie);
    const asked = first(client, '{ me }').catch(() => 'refused');
    expect(await closed).toBe(4403);
    expect(await asked).toBe('refused');
  });
});
