import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { latchkeyProcess } from '../support/command.js';
import { until } from '../support/heard.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const call = promisify(execFile);
const PASSWORD = 'correct horse battery staple';

const folder = mkdtempSync(join(tmpdir(), 'latchkey-init-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
});

const TSC = resolve('node_modules/typescript/bin/tsc');
const declarations = join(folder, 'declarations');
/** Of our sources, once: with those themselves each application would check them all. */
beforeAll(async () => {
  const only = ['--declaration', '--emitDeclarationOnly', '--noCheck', '--incremental', 'false'];
  await call(process.execPath, [TSC, '-p', 'tsconfig.build.json', ...only, '--outDir', declarations]);
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
}, 120_000);

/** An application as the Nest CLI makes it, which finds our declarations under the package's name. */
async function newApplication(type: 'esm' | 'cjs', name: string = type): Promise<string> {
  const schematics = resolve('node_modules/.bin/schematics');
  const options = [`--name=${name}`, `--type=${type}`, '--no-dry-run'];
  await call(process.execPath, [schematics, '@nestjs/schematics:application', ...options], { cwd: folder });
  const application = join(folder, name);
  symlinkSync(resolve('node_modules'), join(application, 'node_modules'));
  const paths = { 'nestjs-latchkey': [join(declarations, 'index.d.ts')] };
  const compilerOptions = { paths, types: ['node'], noEmit: true, rootDir: '/', incremental: false };
  const tsconfig = { extends: './tsconfig.json', compilerOptions, include: ['src/**/*.ts'], exclude: ['**/*.spec.ts'] };
  writeFileSync(join(application, 'tsconfig.check.json'), JSON.stringify(tsconfig));
  return application;
}

const read = (application: string, path: string) => readFileSync(join(application, path), 'utf8');
const typecheck = (application: string) =>
  call(process.execPath, [TSC, '-p', join(application, 'tsconfig.check.json')]);

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

/** Its main.ts, until it answers. */
async function started(application: string, env: Record<string, string>): Promise<string> {
  const port = await freePort();
  const child: ChildProcess = spawn(
    process.execPath,
    ['--import', resolve('test/support/register.js'), 'src/main.ts'],
    {
      cwd: application,
      env: { ...process.env, NODE_OPTIONS: '', PORT: String(port), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let said = '';
  const exited = once(child, 'exit');
  undo.push(async () => {
    child.kill();
    await exited;
  });
  await new Promise<void>((done, fail) => {
    const hear = (chunk: Buffer) => {
      said += String(chunk);
      if (said.includes('successfully started')) done();
    };
    child.stdout!.on('data', hear);
    child.stderr!.on('data', hear);
    child.once('exit', () => fail(new Error(said)));
  });
  const url = `http://127.0.0.1:${port}`;
  // Nest says so before the port is open.
  await until(() =>
    fetch(url).then(
      () => true,
      () => false,
    ),
  );
  return url;
}

async function database(): Promise<TestDatabase> {
  const db = await createTestDatabase({ migrated: false });
  undo.push(() => db.drop());
  return db;
}

describe('nestjs-latchkey init, in an application as the Nest CLI makes it', () => {
  it('ES modules: it compiles, starts, and a user that the command made logs in', async () => {
    const application = await newApplication('esm');
    const db = await database();
    const before = read(application, 'src/app.module.ts');

    const dry = await latchkeyProcess(['init', '--dry-run'], {}, { cwd: application });
    expect(dry).toMatchObject({ status: 0, err: '' });
    expect(dry.out).toContain("+import { MeController } from './me.controller.js';");
    expect(read(application, 'src/app.module.ts')).toBe(before);
    expect(existsSync(join(application, '.env'))).toBe(false);

    const ran = await latchkeyProcess(['init'], {}, { cwd: application });
    expect(ran).toMatchObject({ status: 0, err: '' });
    const env = read(application, '.env');
    const secret = /^AUTH_SECRET=([\w-]{64})$/m.exec(env)![1]!;
    expect(ran.out + dry.out).not.toContain(secret);
    expect(statSync(join(application, '.env')).mode & 0o077).toBe(0);
    expect(read(application, '.gitignore')).toBe('.env\n');
    await typecheck(application);

    const files = ['src/app.module.ts', 'src/app.controller.ts', 'src/me.controller.ts', '.env', '.gitignore'];
    const written = files.map((path) => read(application, path));
    const again = await latchkeyProcess(['init', '--json'], {}, { cwd: application });
    expect(JSON.parse(again.out)).toMatchObject({ changes: [] });
    expect(files.map((path) => read(application, path))).toEqual(written);

    // What it says comes next. The variables are read from .env, by the command and by the application.
    writeFileSync(join(application, '.env'), env.replace(/^DATABASE_URL=.*$/m, `DATABASE_URL=${db.url}`));
    const latchkey = (args: string[], stdin?: string) => latchkeyProcess(args, {}, { cwd: application, stdin });
    expect(await latchkey(['migrate'])).toMatchObject({ status: 0, err: '' });
    const create = ['users', 'create', '--email', 'ada@example.com'];
    expect(await latchkey(create, `${PASSWORD}\n`)).toMatchObject({ status: 0, err: '' });
    const url = await started(application, {});
    expect(await (await fetch(url)).text()).toBe('Hello World!');
    expect((await fetch(`${url}/me/about`)).status).toBe(200);
    expect((await fetch(`${url}/me`)).status).toBe(401);
    const login = await fetch(`${url}/auth/login`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ email: 'ada@example.com', password: PASSWORD }),
    });
    expect(login.status).toBe(200);
    const Cookie = login.headers
      .getSetCookie()
      .map((cookie) => cookie.split(';')[0])
      .join('; ');
    expect(await (await fetch(`${url}/me`, { headers: { Cookie } })).json()).toMatchObject({
      email: 'ada@example.com',
    });
  }, 180_000);

  it('CommonJS: imports without an ending, and it compiles; with a connection of its own too', async () => {
    const application = await newApplication('cjs');
    const module = read(application, 'src/app.module.ts');
    const own = `  imports: [
    TypeOrmModule.forRoot({
      type: 'postgres',
      host: 'db',
      autoLoadEntities: true,
    }),
  ],`;
    writeFileSync(
      join(application, 'src/app.module.ts'),
      `import { TypeOrmModule } from '@nestjs/typeorm';\n${module.replace('  imports: [],', own)}`,
    );
    expect(await latchkeyProcess(['init'], {}, { cwd: application })).toMatchObject({ status: 0, err: '' });
    const written = read(application, 'src/app.module.ts');
    expect(written).toContain("import { MeController } from './me.controller';");
    expect(written).toContain(own.split('\n')[3]);
    expect(written).toContain(
      '      entities: [...authEntities],\n      migrations: [...authMigrations],\n      migrationsRun: true,\n    }),',
    );
    await typecheck(application);
  }, 120_000);

  it('a module that it does not know: by hand, exit 1, and nothing is changed', async () => {
    const application = await newApplication('esm', 'unknown');
    const unknown = read(application, 'src/app.module.ts').replace('imports: []', 'imports: importsOf()');
    writeFileSync(join(application, 'src/app.module.ts'), unknown);
    const { status, out, err } = await latchkeyProcess(['init'], {}, { cwd: application });
    expect({ status, out }).toEqual({ status: 1, out: '' });
    expect(err).toMatch(
      /^The imports of AppModule in src\/app\.module\.ts are not an array\. Nothing was changed\.\n\nBy hand/,
    );
    expect(read(application, 'src/app.module.ts')).toBe(unknown);
    for (const path of ['.env', '.gitignore', 'src/me.controller.ts', 'src/load-env.ts']) {
      expect(existsSync(join(application, path))).toBe(false);
    }
  }, 60_000);

  it('of a .env that is there, it shows neither names nor values; added ones by name', async () => {
    const application = await newApplication('esm', 'secrets');
    const there = ['A=1', 'PRIVATE_KEY="-----BEGIN', 'c2VjcmV0MQ', 'TOKEN: secret2', 'secret3-----"'].join('\n');
    writeFileSync(join(application, '.env'), `${there}\n`);
    for (const args of [['--dry-run'], ['--dry-run', '--json'], []]) {
      const { status, out } = await latchkeyProcess(['init', ...args], {}, { cwd: application });
      expect(status).toBe(0);
      expect(out).toContain('+AUTH_SECRET=…');
      expect(out).not.toMatch(/c2VjcmV0MQ|secret\d|PRIVATE_KEY|TOKEN/);
    }
    expect(read(application, '.env')).toContain(there);
  }, 60_000);

  it('.env does not choose the configuration that a command runs', async () => {
    writeFileSync(join(folder, 'config.mjs'), 'process.exit(42);');
    writeFileSync(join(folder, '.env'), 'LATCHKEY_CONFIG=config.mjs\nDATABASE_URL=postgres://127.0.0.1:1/none\n');
    undo.push(() => rmSync(join(folder, '.env')));
    expect((await latchkeyProcess(['doctor'], {}, { cwd: folder })).status).not.toBe(42);
    // Negative control: the environment does.
    expect((await latchkeyProcess(['doctor'], { LATCHKEY_CONFIG: 'config.mjs' }, { cwd: folder })).status).toBe(42);
  }, 60_000);

  it('outside of an application: one line, exit 1', async () => {
    const { status, err } = await latchkeyProcess(['init'], {}, { cwd: folder });
    expect({ status, err }).toEqual({
      status: 1,
      err: 'There is no Nest application here (no package.json with @nestjs/core): run it in the application’s folder.\n',
    });
  }, 60_000);
});
