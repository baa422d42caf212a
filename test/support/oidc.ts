import { minutes, type AuthModuleExtras, type AuthOptions } from 'nestjs-latchkey';
import request, { type Response } from 'supertest';
import type { ProviderDefinition } from '../../src/config/oidc-settings.js';
import type { TestApp } from './app.js';
import { MAIL } from './flows.js';
import { ORIGIN } from './passkeys.js';

/** What an application with logins at these providers is made of. */
export const oidcAuth = (providers: readonly ProviderDefinition[]) =>
  ({
    ...MAIL,
    baseUrl: ORIGIN,
    trustedOrigins: ['https://spa.example.com'],
    flows: { oidc: { providers, page: '/login' }, stepUp: {}, twoFactor: { totp: {} } },
    rateLimits: {
      backoff: { base: 0 },
      policies: {
        oidc_start_ip: { limit: 100_000, window: minutes(5) },
        oidc_callback_ip: { limit: 100_000, window: minutes(5) },
        oidc_logout_ip: { limit: 100_000, window: minutes(5) },
        login_ip: { limit: 100_000, window: minutes(15) },
      },
    },
  }) satisfies Partial<AuthOptions> & AuthModuleExtras;

export const callbackOf = (provider: string): string => `${ORIGIN}/auth/oidc/${provider}/callback`;

/** A browser with its cookies, at the application. */
export class OidcBrowser {
  readonly cookies = new Map<string, string>();

  constructor(
    private readonly t: TestApp,
    sessionCookie?: string,
  ) {
    if (sessionCookie) this.keep([sessionCookie]);
  }

  /** Of a form, as a browser sends it, unless `headers` say otherwise. */
  async post(path: string, body: object = {}, headers: Record<string, string> = {}): Promise<Response> {
    return this.kept(
      await request(this.t.url)
        .post(`/auth/${path}`)
        .set({ Cookie: this.header, ...headers })
        .send(body),
    );
  }

  async get(path: string, headers: Record<string, string> = {}): Promise<Response> {
    return this.kept(
      await request(this.t.url)
        .get(`/auth/${path}`)
        .set({ Cookie: this.header, ...headers }),
    );
  }

  async delete(path: string): Promise<Response> {
    return this.kept(await request(this.t.url).delete(`/auth/${path}`).set('Cookie', this.header));
  }

  /** Where the provider is. */
  async start(provider: string, body: object = {}, path = `oidc/${provider}/start`): Promise<string> {
    const answer = await this.post(path, body);
    if (answer.status !== 200) throw new Error(`${answer.status} ${JSON.stringify(answer.body)}`);
    return (answer.body as { url: string }).url;
  }

  /** Comes back from the provider with this address. */
  async back(url: string): Promise<Response> {
    const { pathname, search } = new URL(url);
    return this.get(`${pathname}${search}`.replace('/auth/', ''));
  }

  get session(): string | undefined {
    return this.cookies.get('__Host-session');
  }

  get header(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  private kept(answer: Response): Response {
    this.keep(answer.get('Set-Cookie') ?? []);
    return answer;
  }

  private keep(cookies: readonly string[]): void {
    for (const cookie of cookies) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie)!;
      if (value === '') this.cookies.delete(name!);
      else this.cookies.set(name!, value!);
    }
  }
}

/** What a page is told in the fragment of its address. */
export const fragmentOf = (answer: Response): Record<string, string> =>
  Object.fromEntries(new URLSearchParams(new URL(answer.get('Location')!, ORIGIN).hash.slice(1)));
