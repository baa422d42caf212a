import { PASSKEYS } from './passkeys.js';
import { ACCOUNT_FLOWS, MAIL, TWO_FACTOR_FLOW } from './flows.js';
import { type AuthModuleExtras, type AuthOptions } from 'nestjs-latchkey';

/** Every flow that has pages, on pages. */
export const PAGES = {
  ...MAIL,
  ...PASSKEYS,
  mail: { ...MAIL.mail, pages: {} },
  audit: { enabled: true },
  flows: {
    ...ACCOUNT_FLOWS,
    twoFactor: TWO_FACTOR_FLOW,
    passkeys: { rpName: 'Notes' },
    magicLink: {},
    apiKeys: { scopes: ['notes:read', 'notes:write'] },
    pages: {},
  },
} satisfies Partial<AuthOptions> & AuthModuleExtras;

/** A browser without script: it keeps the cookies, follows nothing, and sends forms as they stand. */
export class PlainBrowser {
  readonly cookies = new Map<string, string>();

  constructor(
    private readonly url: string,
    private readonly base = '/auth/p/',
  ) {}

  /** Has this cookie from now on, written as `name=value`. */
  take(cookie: string): void {
    const [name, value] = cookie.split(/=(.*)/s) as [string, string];
    this.cookies.set(name, value);
  }

  async open(page: string, headers: Record<string, string> = {}): Promise<PageAnswer> {
    return this.send('GET', page, headers);
  }

  /** As a browser posts it from a page of ours; several values of a name as a list. */
  async post(
    page: string,
    form: Record<string, string | readonly string[]> = {},
    headers: Record<string, string> = { 'Sec-Fetch-Site': 'same-origin' },
  ): Promise<PageAnswer> {
    const body = new URLSearchParams(
      Object.entries(form).flatMap(([name, value]) => [value].flat().map((one): [string, string] => [name, one])),
    );
    return this.send('POST', page, headers, body);
  }

  private async send(
    method: string,
    page: string,
    headers: Record<string, string>,
    body?: URLSearchParams,
  ): Promise<PageAnswer> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(new URL(page, this.url + this.base), {
      method,
      redirect: 'manual',
      headers: { Accept: 'text/html,*/*;q=0.8', ...(cookie && { Cookie: cookie }), ...headers },
      ...(body && { body }),
    });
    for (const set of answer.headers.getSetCookie()) {
      const [name, value] = set.split(';', 1)[0]!.split(/=(.*)/s) as [string, string];
      if (value === '') this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return {
      status: answer.status,
      headers: answer.headers,
      text: await answer.text(),
      to: answer.headers.get('location'),
    };
  }
}

export interface PageAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** `Location`. */
  readonly to: string | null;
}
