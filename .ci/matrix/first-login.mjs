// What `nestjs-latchkey init` says comes next, in the application that it has changed, against a database of its own.
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { startEmbeddedPostgres } from 'nestjs-latchkey/testing';

const user = { email: 'ada@example.com', password: 'correct horse battery staple' };
const port = 3977;

function run(command, args, input = '') {
  const { status } = spawnSync(command, args, { input, stdio: ['pipe', 'inherit', 'inherit'] });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: exit code ${status}`);
}
const latchkey = (args, input) => run('npx', ['--no-install', 'nestjs-latchkey', ...args], input);

function expect(found, wanted) {
  if (found !== wanted) throw new Error(`${found} instead of ${wanted}`);
}

async function logIn() {
  // A group of its own, so that what the Nest CLI starts ends with it.
  const application = spawn('npm', ['run', 'start'], { env: { ...process.env, PORT: port }, detached: true });
  try {
    await new Promise((resolve, reject) => {
      application.stdout.on('data', (text) => `${text}`.includes('successfully started') && resolve());
      application.stderr.pipe(process.stderr);
      application.once('exit', () => reject(new Error('The application has ended.')));
    });
    const url = `http://127.0.0.1:${port}`;
    expect((await fetch(url)).status, 200);
    expect((await fetch(`${url}/me`)).status, 401);
    const headers = { 'Content-Type': 'application/json' };
    const login = await fetch(`${url}/auth/login`, { method: 'POST', headers, body: JSON.stringify(user) });
    expect(login.status, 200);
    const Cookie = login.headers
      .getSetCookie()
      .map((cookie) => cookie.split(';')[0])
      .join('; ');
    const me = await fetch(`${url}/me`, { headers: { Cookie } });
    expect((await me.json()).email, user.email);
  } finally {
    process.kill(-application.pid);
  }
}

const postgres = await startEmbeddedPostgres({ settings: { fsync: 'off' } });
try {
  const env = readFileSync('.env', 'utf8');
  writeFileSync('.env', env.replace(/^DATABASE_URL=.*$/m, `DATABASE_URL=${postgres.url}`));
  latchkey(['migrate']);
  latchkey(['users', 'create', '--email', user.email], user.password);
  run('npm', ['run', 'test:e2e']);
  await logIn();
  writeFileSync('src/auth.options.ts', "export const authOptions = { secrets: [process.env['AUTH_SECRET']!] };\n");
  latchkey(['doctor', '--config', 'src/auth.options.ts']);
  latchkey(['init']);
} finally {
  await postgres.stop();
}
