import { extendConnection, propertiesOf, type Connection } from './connection.js';
import { addVariables, ignoreVariables } from './env-files.js';
import { addController, addLoadEnv, openGreeting } from './example-files.js';
import type { FileChange } from './file-change.js';
import { authModule, byHand, CONNECTION, PACKAGE } from './module-text.js';
import { notTypeScript, type NamedModule, type Project } from './project.js';
import type { SourceFile } from './source-file.js';
import { Unreadable } from './tokens.js';

const DATABASE_PAGE = 'https://github.com/nestjs-latchkey/nestjs-latchkey/blob/main/docs/start.md#a-database';

/** What `init` would do. */
export interface Plan {
  readonly changes: readonly FileChange[];
  /** What is there already, and left as it is. */
  readonly kept: readonly string[];
  readonly next: readonly string[];
}

/**
 * The additions that put AuthModule into the application: nothing that is there is overwritten, and what has been added
 * before is not added again.
 *
 * @throws {CommandFailure} `INIT_BY_HAND`, with instructions, if the module or its connection is not written in a way
 *   that is known. Nothing is changed by planning.
 */
export function planOf(project: Project): Plan {
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
    let path = project.modulePath ?? project.entry;
    try {
      const module = moduleOf(project);
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

const usesAuthModule = (file: SourceFile): boolean => {
  const name = file.nameOf('AuthModule', PACKAGE);
  return name !== undefined && file.callsOf(name, ['forRoot', 'forRootAsync']).length > 0;
};

function moduleOf(project: Project): NamedModule {
  const module = project.applicationModule();
  if (module) return module;
  const path = project.modulePath;
  const javascript = project.entry.replace(/ts$/, 'js');
  if (path === undefined && project.read(javascript) !== undefined) throw notTypeScript(javascript);
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
  if (connection?.isNew)
    steps.push(`Set DATABASE_URL in .env to your PostgreSQL database. There is one from npm: ${DATABASE_PAGE}`);
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
