import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Provider } from 'oidc-provider';

/** Somebody with an account at the provider. */
export interface TestAccount {
  readonly sub: string;
  readonly email?: string;
  readonly email_verified?: unknown;
  readonly name?: string;
}

/** The application, as the provider knows it. */
export interface TestClient {
  readonly redirectUris: readonly string[];
  readonly postLogoutRedirectUris?: readonly string[];
  readonly backchannelLogoutUri?: string;
}

/** What comes back to the application: the address of its callback, or what a page posts there (`form_post`). */
export interface ProviderAnswer {
  readonly url: string;
  readonly form: Readonly<Record<string, string>> | null;
}

export const TEST_CLIENT = { clientId: 'notes', clientSecret: 'a secret between the application and its provider' };

const ACCOUNT_HEADER = 'x-test-account';
const MAX_REDIRECTS = 10;
/** One for all providers of a file: to make one takes long. */
let keys: object | undefined;
const jwks = (): object => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  return (keys ??= { keys: [{ ...rsa, kid: 'test', use: 'sig', alg: 'RS256' }] });
};

/**
 * A certified provider of OpenID Connect (`oidc-provider`) in this process, at which somebody logs in without a page: a
 * `TestBrowser` says who.
 */
export async function startTestProvider({
  redirectUris,
  postLogoutRedirectUris = [],
  backchannelLogoutUri,
  ...configuration
}: TestClient & Record<string, unknown>): Promise<TestProvider> {
  let handle: ReturnType<Provider['callback']> | undefined;
  const server = createServer((request, response) => {
    if (!request.url!.startsWith('/interaction/')) return void handle!(request, response);
    const { sub } = JSON.parse(String(request.headers[ACCOUNT_HEADER])) as TestAccount;
    return void provider.interactionFinished(request, response, { login: { accountId: sub } });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const accounts = new Map<string, TestAccount>();
  const provider = await madeQuietly(issuer, {
    clients: [
      {
        client_id: TEST_CLIENT.clientId,
        client_secret: TEST_CLIENT.clientSecret,
        redirect_uris: redirectUris,
        post_logout_redirect_uris: postLogoutRedirectUris,
        ...(backchannelLogoutUri && {
          backchannel_logout_uri: backchannelLogoutUri,
          backchannel_logout_session_required: true,
        }),
      },
    ],
    jwks: jwks(),
    cookies: { keys: [randomBytes(16).toString('hex')] },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    ttl: { Interaction: 600, Grant: 600, Session: 600, AccessToken: 600, IdToken: 600, AuthorizationCode: 60 },
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: { enabled: true },
    },
    findAccount: (_: unknown, accountId: string) => ({ accountId, claims: () => accounts.get(accountId)! }),
    interactions: { url: (_: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
    // Nobody is asked for consent.
    loadExistingGrant: async ({ oidc }: { oidc: Oidc }) => {
      const grant = new oidc.provider.Grant({
        clientId: oidc.client.clientId,
        accountId: oidc.session.accountId,
      });
      grant.addOIDCScope('openid email profile');
      await grant.save();
      return grant;
    },
    ...configuration,
  });
  handle = provider.callback();
  return {
    issuer,
    provider,
    browserOf: (account) => {
      accounts.set(account.sub, account);
      return new TestBrowser(issuer, account);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** It says in the log that it keeps everything in memory, and that Node 20 is not its choice. */
async function madeQuietly(issuer: string, configuration: object): Promise<Provider> {
  const { warn } = console;
  console.warn = () => {};
  try {
    const { Provider: Certified } = await import('oidc-provider');
    return new Certified(issuer, configuration);
  } finally {
    console.warn = warn;
  }
}

export interface TestProvider {
  readonly issuer: string;
  readonly provider: Provider;
  /** A browser of this account's owner; what it says of the account is what the provider says from now on. */
  browserOf(account: TestAccount): TestBrowser;
  close(): Promise<void>;
}

interface Oidc {
  readonly provider: { readonly Grant: new (values: object) => Grant };
  readonly client: { readonly clientId: string };
  readonly session: { readonly accountId: string };
}

interface Grant {
  addOIDCScope(scope: string): void;
  save(): Promise<string>;
}

/** A browser at a provider, with its cookies there. It goes no further than the application's callback. */
export class TestBrowser {
  private readonly cookies = new Map<string, string>();

  constructor(
    private readonly issuer: string,
    private readonly account: TestAccount,
  ) {}

  /** Follows the address of an authorization request to the answer for the application. */
  async logIn(url: string): Promise<ProviderAnswer> {
    let next = url;
    for (let i = 0; i < MAX_REDIRECTS; i++) {
      const { location, page } = await this.visit(next);
      if (location === null) return formOf(page);
      if (!location.startsWith(`${this.issuer}/`)) return { url: location, form: null };
      next = location;
    }
    throw new Error('The provider redirects without end.');
  }

  /** Confirms the page of an RP-initiated logout; where the provider sends the browser then, or `null`. */
  async logOut(url: string): Promise<string | null> {
    const { location, page } = await this.visit(url);
    if (location !== null) return location;
    const { url: action, form } = formOf(page);
    return (await this.visit(action, { ...form, logout: 'yes' })).location;
  }

  private async visit(url: string, form?: object): Promise<{ location: string | null; page: string }> {
    const answer = await fetch(url, {
      method: form ? 'POST' : 'GET',
      redirect: 'manual',
      headers: {
        cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; '),
        [ACCOUNT_HEADER]: JSON.stringify(this.account),
      },
      ...(form && { body: new URLSearchParams({ ...form }) }),
    });
    for (const set of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(set)!;
      if (value === '') this.cookies.delete(name!);
      else this.cookies.set(name!, value!);
    }
    const page = await answer.text();
    const location = answer.headers.get('location');
    if (location === null && answer.status >= 400) throw new Error(`The provider answered ${answer.status}: ${page}`);
    return { location: location && new URL(location, url).href, page };
  }
}

/** The form of a page, which its script would send. */
function formOf(page: string): { url: string; form: Record<string, string> } {
  const action = /<form[^>]*action="([^"]*)"/.exec(page)?.[1];
  if (action === undefined) throw new Error(`The provider shows no form: ${page}`);
  const inputs = [...page.matchAll(/<input[^>]*name="([^"]*)"[^>]*value="([^"]*)"/g)];
  return {
    url: unescaped(action),
    form: Object.fromEntries(inputs.map(([, name, value]) => [name, unescaped(value!)])),
  };
}

const unescaped = (text: string): string =>
  text
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&');
