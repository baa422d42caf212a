// Starts each command, which is one application; all of them are on DATABASE_URL. A user logs in to the first, and is known
// to all; without the cookie, none lets anyone pass.
import { spawn, spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import { setTimeout } from 'node:timers/promises';

const user = { email: `${process.pid}@example.com`, password: 'correct horse battery staple' };
const headers = { 'Content-Type': 'application/json' };
const deadline = Date.now() + 90_000;

function expect(found, wanted, what) {
  if (found !== wanted) throw new Error(`${what}: ${found} instead of ${wanted}`);
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function start(command) {
  const port = await freePort();
  const env = { ...process.env, PORT: port, port }; // the second application of a monorepo reads it in lower case
  // A group of its own, so that whatever it starts ends with it.
  const application = spawn('bash', ['-c', command], { env, detached: true, stdio: ['ignore', 'inherit', 'inherit'] });
  const url = `http://127.0.0.1:${port}`;
  for (;;) {
    if (application.exitCode !== null) throw new Error(`${command}: exit code ${application.exitCode}`);
    try {
      await fetch(url);
      return { url, stop: () => process.kill(-Number(application.pid)) };
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await setTimeout(100);
    }
  }
}

const applications = [];
try {
  for (const command of process.argv.slice(2)) applications.push(await start(command));
  const { error, status } = spawnSync('node_modules/.bin/nestjs-latchkey', ['users', 'create', '--email', user.email], {
    input: user.password,
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  if (error) throw error;
  expect(status, 0, 'users create');
  const [{ url }] = applications;
  const login = await fetch(`${url}/auth/login`, { method: 'POST', headers, body: JSON.stringify(user) });
  expect(login.status, 200, 'a login');
  const Cookie = login.headers
    .getSetCookie()
    .map((cookie) => cookie.split(';')[0])
    .join('; ');
  for (const { url } of applications) {
    expect((await fetch(`${url}/`)).status, 200, 'a public route');
    expect((await fetch(`${url}/notes`)).status, 401, 'a route without a cookie');
    const notes = await fetch(`${url}/notes`, { headers: { Cookie } });
    expect(notes.status, 200, 'a route with the cookie');
    expect((await notes.json()).sessions, 1, 'sessions');
  }
  console.log(`Logged in at ${applications.length} application(s).`);
} finally {
  for (const { stop } of applications) stop();
}
