import { mkdtempSync, rmSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Controller, Get, Req } from '@nestjs/common';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Public, type HttpRequest } from 'nestjs-latchkey';
import { ClientIp } from 'nestjs-latchkey/engine';
import { createUser, PLATFORMS, startTestApp, type TestApp } from '../support/app.js';

@Public()
@Controller()
class IpController {
  constructor(private readonly clientIp: ClientIp) {}

  @Get('ip')
  ip(@Req() request: HttpRequest) {
    return { ip: this.clientIp.of(request) };
  }

  /** What is left of a TCP connection that is gone: no address, and the headers of whoever sent them. */
  @Get('gone')
  gone(@Req() { headers }: HttpRequest) {
    return { ip: this.clientIp.of({ headers, socket: {} }) };
  }
}

describe.each(PLATFORMS)('H31: behind a proxy on a Unix socket, on %s', (platform) => {
  let t: TestApp;
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-'));
  const socketPath = join(folder, 'app.sock');
  afterEach(async () => {
    await t?.close();
    rmSync(socketPath, { force: true });
  });

  const start = async (trustedProxies: string[], path: string | undefined) => {
    t = await startTestApp({
      platform,
      controllers: [IpController],
      auth: {
        trustedProxies,
        rateLimits: { policies: { login_ip: { limit: 3 }, login_attempt: { limit: 100 } }, backoff: { base: 0 } },
      },
      ...(path && { socketPath: path }),
    });
  };

  const send = (method: string, path: string, forwardedFor: string, body?: object) =>
    new Promise<{ status: number; body: { ip?: string | null } }>((resolve, reject) => {
      const to = t.url.endsWith('undefined') ? { socketPath } : { port: new URL(t.url).port, host: '127.0.0.1' };
      const headers = { 'X-Forwarded-For': forwardedFor, 'Content-Type': 'application/json' };
      const sent = httpRequest({ ...to, method, path, headers }, (answer) => {
        let text = '';
        answer.on('data', (chunk) => (text += String(chunk)));
        answer.on('end', () => resolve({ status: answer.statusCode!, body: JSON.parse(text) }));
      });
      sent.on('error', reject);
      sent.end(body && JSON.stringify(body));
    });
  const ipOf = async (forwardedFor: string, path = '/ip') => (await send('GET', path, forwardedFor)).body.ip;

  it("with 'unix' the client is whom the proxy names, and each has limits of its own", async () => {
    await start(['unix', '10.0.0.0/8'], socketPath);
    expect(await ipOf('203.0.113.5')).toBe('203.0.113.5');
    expect(await ipOf('1.1.1.1, 203.0.113.5, 10.0.0.7')).toBe('203.0.113.5');
    expect(await ipOf('nonsense')).toBeNull();
    await createUser(t.app, 'ada@example.com');
    const wrong = (from: string) => send('POST', '/auth/login', from, { email: 'ada@example.com', password: 'x' });
    for (let i = 0; i < 3; i++) expect((await wrong('203.0.113.5')).status).toBe(401);
    expect((await wrong('203.0.113.5')).status).toBe(429);
    expect((await wrong('203.0.113.6')).status).toBe(401);
  });

  it("without 'unix' nobody is believed", async () => {
    await start(['10.0.0.0/8'], socketPath);
    expect(await ipOf('203.0.113.5')).toBeNull();
  });

  it("'unix' on a TCP port trusts neither a peer nor a connection that is gone", async () => {
    await start(['unix'], undefined);
    expect(await ipOf('203.0.113.5')).toBe('127.0.0.1');
    expect(await ipOf('203.0.113.5', '/gone')).toBeNull();
  });
});
