import { basename, dirname, join, relative } from 'node:path/posix';
import { CommandFailure } from '../failure.js';
import { newSecret } from '../new-secret.js';
import type { NamedModule, Project } from './project.js';
import type { Literal, Property, SourceFile } from './source-file.js';
import { closing, matches, Unreadable } from './tokens.js';

export interface FileChange {
  readonly path: string;
  /** `undefined`: the file is new. */
  readonly before: string | undefined;
  readonly after: string;
}

/** What `init` would do. */
export interface Plan {
  readonly changes: readonly FileChange[];
  /** What is there already, and left as it is. */
  readonly kept: readonly string[];
  readonly next: readonly string[];
}

const PACKAGE = 'nestjs-latchkey';
const DATABASE_URL = 'postgres://postgres:postgres@localhost:5432/postgres';
const ENTITIES = '...authEntities';
const MIGRATIONS = '...authMigrations';

const CONNECTION = `TypeOrmModule.forRoot({
  type: 'postgres',
  url: process.env['DATABASE_URL'],
  entities: [${ENTITIES}],
  migrations: [${MIGRATIONS}],
  migrationsRun: true,
})`;
const authModule = (name: string, dataSource: string | undefined) => `${name}.forRoot({
  secrets: [process.env['AUTH_SECRET']!],
  routes: { path: 'auth' },${dataSource === undefined ? '' : `\n  dataSource: '${dataSource}',`}
})`;

const LOAD_ENV = `import { existsSync, readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';

// The variables of .env, for development and tests; those of the environment win.
if (existsSync('.env')) {
  Object.assign(process.env, { ...parseEnv(readFileSync('.env', 'utf8')), ...process.env });
}
`;

const CONTROLLER = `import { Controller, Get } from '@nestjs/common';
import { CurrentUser, Public } from '${PACKAGE}';

@Controller('me')
export class MeController {
  @Get() // guarded, like every handler of the application
  me(@CurrentUser('id') id: string, @CurrentUser('email') email: string) {
    return { id, email };
  }

  @Public()
  @Get('about')
  about() {
    return { about: 'Anyone may read this.' };
  }
}
`;

/**
 * The additions that put AuthModule into the application: nothing that is there is overwritten, and what has been added
 * before is not added again.
 *
 * @throws {CommandFailure} `INIT_BY_HAND`, with instructions, if the module or its connection is not written in a way
 *   that is known. Nothing is changed by planning.
 */
export function planOf(project: Project, modulePath: string | undefined): Plan {
  const changes: FileChange[] = [];
  const kept: string[] = [];
  const sources = project.sources();
  const used = sources.find((file) => usesAuthModule(file));
  let connection: Connection | undefined;
  if (used) {
    kept.push(`${used.path} has AuthModule already.`);
  } else {
    // A connection that is not seen would be followed by a second one.
    for (const [path, { message }] of project.unreadable) {
      if (/TypeOrmModule|AuthModule/.test(project.read(path) ?? ''))
        throw byHand(`${path} cannot be read: ${message}`, path);
    }
    let path = modulePath ?? project.entry;
    try {
      const module = moduleOf(project, modulePath);
      path = module.file.path;
      connection = addModules(sources, module);
      changes.push(...addLoadEnv(project, sources, module, kept));
      changes.push(...addController(project, sources, module, kept));
      openGreeting(sources);
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      throw byHand(`${path} cannot be read: ${error.message}`, path);
    }
  }
  for (const file of sources) {
    if (file.changed !== file.text) changes.push({ path: file.path, before: file.text, after: file.changed });
  }
  // .gitignore first: there is no moment in which git could see the secret.
  changes.push(...ignoreVariables(project, kept), ...addVariables(project, connection?.isNew === true, kept));
  return { changes, kept, next: nextSteps(project, connection, used !== undefined, sources) };
}

interface Connection {
  readonly isNew: boolean;
  readonly name: string | undefined;
  /** Whether the migrations run when the application starts. */
  readonly migrates: boolean;
}

const usesAuthModule = (file: SourceFile): boolean => {
  const name = file.nameOf('AuthModule', PACKAGE);
  return name !== undefined && file.callsOf(name, ['forRoot', 'forRootAsync']).length > 0;
};

function moduleOf(project: Project, path: string | undefined): NamedModule {
  const module = project.applicationModule(path);
  if (module) return module;
  const where = path ?? `${project.sourceRoot}/app.module.ts, nor one that ${project.entry} bootstraps`;
  throw byHand(
    `There is no application module in ${where}: name its file with --module`,
    path ?? 'your application module',
  );
}

function addModules(sources: readonly SourceFile[], { file, className }: NamedModule): Connection {
  const metadata = file.moduleMetadata(className);
  if (!metadata) throw byHand(`The metadata of ${className} in ${file.path} is not an object`, file.path);
  const imports = propertiesOf(file, metadata, `The metadata of ${className}`).get('imports');
  const list = imports && file.literalOf(imports, '[');
  if (imports && !list) throw byHand(`The imports of ${className} in ${file.path} are not an array`, file.path);

  const connection = extendConnection(sources) ?? { isNew: true, name: undefined, migrates: true };
  // A module of the application's own may have the same name.
  const name = file.has('AuthModule') ? 'LatchkeyModule' : 'AuthModule';
  const added = [...(connection.isNew ? [CONNECTION] : []), authModule(name, connection.name)];
  if (list) file.append(list, added);
  else file.append(metadata, [`imports: [\n${added.map((one) => `  ${one.replaceAll('\n', '\n  ')},\n`).join('')}]`]);
  if (connection.isNew) file.import(['TypeOrmModule'], '@nestjs/typeorm');
  const values = connection.isNew ? ['authEntities', 'authMigrations'] : [];
  file.import([...values, name === 'AuthModule' ? name : `AuthModule as ${name}`], PACKAGE);
  return connection;
}

/** What is not written there by name, such as `...base`, could be overridden by an addition. */
function propertiesOf(file: SourceFile, literal: Literal, what: string): ReadonlyMap<string, Property> {
  if (!file.isPlain(literal)) throw byHand(`${what} in ${file.path} are not all written there by name`, file.path);
  return file.propertiesOf(literal);
}

/** Adds entities and migrations to the application's own connection; `undefined` if it has none by TypeOrmModule. */
function extendConnection(sources: readonly SourceFile[]): Connection | undefined {
  const found = sources.flatMap((file) =>
    file.callsOf('TypeOrmModule', ['forRoot', 'forRootAsync']).map((call) => ({ file, ...call })),
  );
  if (found.length === 0) return undefined;
  const [{ file, method, open }] = found as [(typeof found)[number]];
  if (found.length > 1)
    throw byHand('There are several TypeOrmModule.forRoot, and AuthModule needs one of them', file.path);
  const options = method === 'forRoot' ? firstArgument(file, open) : returnedByFactory(file, open);
  if (!options)
    throw byHand(`The options of TypeOrmModule in ${file.path} are not written there as an object`, file.path);
  const properties = propertiesOf(file, options, 'The options of TypeOrmModule');
  const type = properties.get('type');
  if (!type || file.stringOf(type) !== 'postgres') {
    const reason = `The connection in ${file.path} is not of type 'postgres'`;
    throw byHand(
      `${reason}: give AuthModule one that is, by a name of its own (\`name\` there, \`dataSource\` here)`,
      file.path,
    );
  }
  // Of forRootAsync, the name is written beside the factory.
  const outer = firstArgument(file, open);
  const nameProperty =
    properties.get('name') ?? (outer && propertiesOf(file, outer, 'The options of TypeOrmModule').get('name'));
  const name = nameProperty && file.stringOf(nameProperty);
  if (nameProperty && name === undefined)
    throw byHand(`The name of the connection in ${file.path} is not a string`, file.path);
  const added: string[] = [];
  for (const [key, spread] of [
    ['entities', ENTITIES],
    ['migrations', MIGRATIONS],
  ] as const) {
    const property = properties.get(key);
    const list = property && file.literalOf(property, '[');
    if (property && !list) throw byHand(`The ${key} of the connection in ${file.path} are not an array`, file.path);
    if (list) file.append(list, [spread]);
    else added.push(`${key}: [${spread}]`);
  }
  // Where there are migrations already, when they run is the application's decision.
  const runs = properties.get('migrationsRun');
  const migrates = runs ? file.tokens[runs.value]!.text === 'true' : !properties.has('migrations');
  if (!runs && migrates) added.push('migrationsRun: true');
  if (added.length > 0) file.append(options, added);
  file.import(['authEntities', 'authMigrations'], PACKAGE);
  return { isNew: false, name, migrates };
}

function firstArgument(file: SourceFile, open: number): Literal | undefined {
  if (file.tokens[open + 1]?.text !== '{') return undefined;
  return { open: open + 1, close: closing(file.tokens, open + 1) };
}

/** The one object that `useFactory` returns. */
function returnedByFactory(file: SourceFile, open: number): Literal | undefined {
  const options = firstArgument(file, open);
  const factory = options && file.propertiesOf(options).get('useFactory');
  if (!factory) return undefined;
  const { tokens } = file;
  const objects: number[] = [];
  for (let i = factory.value; i <= factory.end; i++) {
    if (matches(tokens, i, '=', '>', '(', '{')) objects.push(i + 3);
    if (matches(tokens, i, 'return', '{')) objects.push(i + 1);
  }
  return objects.length === 1 ? { open: objects[0]!, close: closing(tokens, objects[0]!) } : undefined;
}

/** Reads `.env` in the application, unless something does already. */
function addLoadEnv(
  project: Project,
  sources: readonly SourceFile[],
  { file }: NamedModule,
  kept: string[],
): FileChange[] {
  const scripts = Object.values(project.packageJson.scripts ?? {}).join('\n');
  const reads = /\b(dotenv|loadEnvFile|parseEnv|ConfigModule)\b|--env-file/;
  if (reads.test(scripts) || sources.some(({ text }) => reads.test(text))) return [];
  const path = `${project.sourceRoot}/load-env.ts`;
  if (project.read(path) !== undefined) {
    kept.push(`${path} exists, and is left as it is.`);
    return [];
  }
  file.importFirst(relativePath(project, file, path));
  return [{ path, before: undefined, after: styled(LOAD_ENV, file) }];
}

function addController(
  project: Project,
  sources: readonly SourceFile[],
  { file, className }: NamedModule,
  kept: string[],
): FileChange[] {
  const path = join(dirname(file.path), 'me.controller.ts');
  const isTaken = project.read(path) !== undefined;
  if (isTaken || sources.some(({ text }) => /class MeController\b|@Controller\(\s*['"`]\/?me['"`]/.test(text))) {
    kept.push(isTaken ? `${path} exists, and is left as it is.` : 'There is a controller for /me already.');
    return [];
  }
  const metadata = file.moduleMetadata(className)!;
  const controllers = file.propertiesOf(metadata).get('controllers');
  const list = controllers && file.literalOf(controllers, '[');
  if (controllers && !list) {
    kept.push(`The controllers of ${className} are not an array: the example is left out.`);
    return [];
  }
  if (list) file.append(list, ['MeController']);
  else file.append(metadata, ['controllers: [MeController]']);
  file.import(['MeController'], relativePath(project, file, path));
  return [{ path, before: undefined, after: styled(CONTROLLER, file) }];
}

/** The greeting of a new application stays open, as its own tests expect. */
function openGreeting(sources: readonly SourceFile[]): void {
  for (const file of sources) {
    const { tokens } = file;
    const at = tokens.findIndex((_, i) => matches(tokens, i, '@', 'Get', '(', ')', 'getHello', '(', ')'));
    if (at < 0 || !file.has('AppController') || file.has('Public')) continue;
    file.insertBefore(at, `@Public()\n${file.indentation}`);
    file.import(['Public'], PACKAGE);
  }
}

function addVariables(project: Project, needsDatabase: boolean, kept: string[]): FileChange[] {
  const before = project.read('.env');
  const has = (name: string) => new RegExp(`^[ \\t]*(export[ \\t]+)?${name}[ \\t]*=`, 'm').test(before ?? '');
  const lines: string[] = [];
  if (has('AUTH_SECRET')) kept.push('.env has AUTH_SECRET already.');
  else if (project.isTracked('.env')) {
    const reason = 'Git tracks .env, and would keep the secret: run `git rm --cached .env`, and then this again';
    throw byHand(reason, 'your application module');
  } else lines.push(`AUTH_SECRET=${newSecret()}`);
  if (needsDatabase && !has('DATABASE_URL')) lines.push(`DATABASE_URL=${DATABASE_URL}`);
  if (lines.length === 0) return [];
  const eol = before?.includes('\r\n') ? '\r\n' : '\n';
  const start = before === undefined || before === '' || before.endsWith('\n') ? (before ?? '') : before + eol;
  return [{ path: '.env', before, after: start + lines.map((line) => line + eol).join('') }];
}

function ignoreVariables(project: Project, kept: string[]): FileChange[] {
  const before = project.read('.gitignore');
  const rules = (before ?? '').split(/\r?\n/).map((line) => line.trim());
  // The last rule that matches decides; of those after it, any with a pattern may be one, such as `!*.*`.
  const last = rules.findLastIndex((rule) => /^!?(\*\*\/|\/)?(\.env|\.env\*|\*\.env|\.\*|\*)$/.test(rule));
  const mayReturn = rules.slice(last + 1).some((rule) => /^!.*([*?[\\]|\.env$)/.test(rule));
  if (last >= 0 && !rules[last]!.startsWith('!') && !mayReturn) {
    kept.push('.gitignore has .env already.');
    return [];
  }
  const eol = before?.includes('\r\n') ? '\r\n' : '\n';
  const start = before === undefined || before === '' || before.endsWith('\n') ? (before ?? '') : before + eol;
  return [{ path: '.gitignore', before, after: `${start}.env${eol}` }];
}

function nextSteps(
  project: Project,
  connection: Connection | undefined,
  wasThere: boolean,
  sources: readonly SourceFile[],
): string[] {
  const { dependencies } = project;
  const major = /\d+/.exec(dependencies['@nestjs/core'] ?? '')?.[0];
  const missing = [PACKAGE, '@nestjs/typeorm', 'typeorm', 'pg'].filter((name) => dependencies[name] === undefined);
  const packages = missing.map((name) => (name === '@nestjs/typeorm' && major ? `${name}@${major}` : name));
  const installer = [
    ['pnpm-lock.yaml', 'pnpm add'],
    ['yarn.lock', 'yarn add'],
    ['bun.lock', 'bun add'],
  ].find(([lock]) => project.read(lock!) !== undefined)?.[1];
  const steps = packages.length > 0 ? [`${installer ?? 'npm install'} ${packages.join(' ')}`] : [];
  if (wasThere) return steps;
  const others = sources.filter(({ text }) => /^\s*@(Controller|Resolver|WebSocketGateway)\(/m.test(text)).length;
  if (connection?.isNew) steps.push('Set DATABASE_URL in .env to your PostgreSQL database.');
  const why = connection?.migrates
    ? 'creates the tables now; the application does it at its start too'
    : 'creates the tables';
  const url = connection?.isNew ? '' : '  (with DATABASE_URL)';
  steps.push(
    `npx nestjs-latchkey migrate   # ${why}${url}`,
    'npx nestjs-latchkey users create --email you@example.com',
    'Start the application, and POST /auth/login with {"email", "password"}: GET /me then answers.',
  );
  if (others > 0) {
    steps.push('Every handler of the application now needs a session: put @Public() on those that do not.');
  }
  return steps;
}

/** `./me.controller`, or with `.js` where the files are written so. */
function relativePath(project: Project, file: SourceFile, path: string): string {
  const at = relative(dirname(file.path), dirname(path));
  const ending = file.ending ?? project.source(project.entry)?.ending ?? (project.isModule ? '.js' : '');
  return `${at === '' ? '.' : at.startsWith('.') ? at : `./${at}`}/${basename(path, '.ts')}${ending}`;
}

/** A new file in the quotes, indentation and line ends of another. */
function styled(text: string, like: SourceFile): string {
  const quotes = like.quote === '"' ? text.replaceAll("'", '"') : text;
  const indented = quotes.replaceAll(/^(?: {2})+/gm, (spaces) => like.indentation.repeat(spaces.length / 2));
  return like.text.includes('\r\n') ? indented.replaceAll('\n', '\r\n') : indented;
}

function byHand(reason: string, path: string): CommandFailure {
  const instructions = `By hand, in ${path}:

  import { TypeOrmModule } from '@nestjs/typeorm';
  import { authEntities, authMigrations, AuthModule } from '${PACKAGE}';

  @Module({
    imports: [
      // your own, with \`${ENTITIES}\` in its entities and \`${MIGRATIONS}\` in its migrations, or:
      ${CONNECTION.replaceAll('\n', '\n      ')},
      ${authModule('AuthModule', undefined).replaceAll('\n', '\n      ')},
    ],
  })

AUTH_SECRET is what \`npx nestjs-latchkey secret\` prints; keep it in .env, and .env out of git. Then run
\`npx nestjs-latchkey migrate\` and \`npx nestjs-latchkey users create\`.`;
  return new CommandFailure('INIT_BY_HAND', `${reason}. Nothing was changed.`, { instructions });
}
