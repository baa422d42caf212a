import { setTimeout as wait } from 'node:timers/promises';

export const PASSWORD = 'correct horse battery staple';
/** Requests of one subject that the limited route lets through. */
export const BURST = 3;

/** Between two actions: a server that is busy, not one that is drowned. */
const PAUSE_MS = 2;

interface Request {
  readonly method?: 'GET' | 'POST';
  readonly cookie?: string | null;
  readonly headers?: Record<string, string>;
  readonly body?: object;
}

/** One account and one browser at a time, which knows what every request must be answered. */
export class Visitor {
  requests = 0;
  readonly unexpected: string[] = [];
  private cookie: string | null = null;
  private bursts = 0;
  /** As often as each stands here, by chance. */
  private readonly actions = [
    ...Array.from({ length: 12 }, () => () => this.read()),
    ...Array.from({ length: 3 }, () => () => this.readAsNobody()),
    ...Array.from({ length: 2 }, () => () => this.useLinkOnce()),
    () => this.logIn(),
    () => this.logOut(),
    () => this.rotate(),
    () => this.sendBurst(),
  ];

  constructor(
    private readonly url: string,
    private readonly email: string,
  ) {}

  async actUntil(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      if (this.cookie === null) await this.logIn();
      const action = this.actions[Math.floor(Math.random() * this.actions.length)]!;
      await action().catch((error: unknown) => this.unexpected.push(String(error)));
      await wait(PAUSE_MS);
    }
  }

  private async read(): Promise<void> {
    await this.ask('me', 200, { cookie: this.cookie });
  }

  private async readAsNobody(): Promise<void> {
    await this.ask('me', 401);
  }

  /** The session that was there before is replaced. */
  private async logIn(): Promise<void> {
    const before = this.cookie;
    const body = { email: this.email, password: PASSWORD };
    this.cookie = cookieOf(await this.ask('auth/login', 200, { method: 'POST', cookie: before, body }));
    if (before !== null) await this.ask('me', 401, { cookie: before });
  }

  private async logOut(): Promise<void> {
    const { cookie } = this;
    await this.ask('auth/logout', 200, { method: 'POST', cookie });
    await this.ask('me', 401, { cookie });
    this.cookie = null;
  }

  /** Another tab still has the old one, which its grace lets through. */
  private async rotate(): Promise<void> {
    const before = this.cookie;
    this.cookie = cookieOf(await this.ask('rotate', 201, { method: 'POST', cookie: before }));
    await this.ask('me', 200, { cookie: before });
  }

  private async useLinkOnce(): Promise<void> {
    const answer = await this.ask('link', 201, { method: 'POST', cookie: this.cookie });
    const { token } = JSON.parse(answer.body) as { token: string };
    await this.ask(`file?token=${token}`, 200);
    await this.ask(`file?token=${token}`, 404);
  }

  private async sendBurst(): Promise<void> {
    const headers = { 'x-subject': `${this.email} ${this.bursts++}` };
    for (let i = 0; i < BURST; i++) await this.ask('limited', 200, { headers });
    await this.ask('limited', 429, { headers });
  }

  private async ask(path: string, expected: number, { method = 'GET', cookie, headers, body }: Request = {}) {
    this.requests++;
    const response = await fetch(`${this.url}/${path}`, {
      method,
      headers: { ...headers, ...(cookie && { cookie }), ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
    });
    const answer = { headers: response.headers, body: await response.text() };
    if (response.status !== expected) {
      throw new Error(`${method} ${path}: ${response.status} instead of ${expected}: ${answer.body}`);
    }
    return answer;
  }
}

function cookieOf({ headers }: { headers: Headers }): string {
  return headers.getSetCookie()[0]!.split(';')[0]!;
}
