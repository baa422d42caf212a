import { basename, dirname, join, relative } from 'node:path/posix';
import type { FileChange } from './file-change.js';
import { PACKAGE } from './module-text.js';
import type { NamedModule, Project } from './project.js';
import type { SourceFile } from './source-file.js';
import { matches } from './tokens.js';

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

/** Reads `.env` in the application, unless something does already. */
export function addLoadEnv(
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

export function addController(
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
export function openGreeting(sources: readonly SourceFile[]): void {
  for (const file of sources) {
    const { tokens } = file;
    const at = tokens.findIndex((_, i) => matches(tokens, i, '@', 'Get', '(', ')', 'getHello', '(', ')'));
    if (at < 0 || !file.has('AppController') || file.has('Public')) continue;
    file.insertBefore(at, `@Public()\n${file.indentation}`);
    file.import(['Public'], PACKAGE);
  }
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
