import { isUtf8 } from 'node:buffer';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, normalize, relative, resolve } from 'node:path/posix';
import { CommandFailure } from '../failure.js';
import { byHand } from './module-text.js';
import { SourceFile } from './source-file.js';
import { matches, Unreadable } from './tokens.js';

interface PackageJson {
  readonly name?: string;
  readonly type?: string;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

interface NestApplication {
  readonly sourceRoot?: string;
  readonly entryFile?: string;
}

interface NestCli extends NestApplication {
  readonly projects?: Readonly<Record<string, NestApplication>>;
}

export interface NamedModule {
  readonly file: SourceFile;
  readonly className: string;
}

/** A Nest application in a folder, as far as `init` has to know it. Its files are read once. */
export class Project {
  readonly packageJson: PackageJson;
  readonly sourceRoot: string;
  /** The sources that cannot be read as TypeScript. */
  readonly unreadable = new Map<string, Unreadable>();
  private readonly files = new Map<string, SourceFile>();

  /**
   * In a monorepo, the application in which the file of `--module` is; otherwise its default one.
   *
   * @throws {CommandFailure} `NOT_A_NEST_APPLICATION` if the folder holds none; `INIT_BY_HAND` if `--module` is not
   *   TypeScript of it.
   */
  constructor(
    readonly folder: string,
    module?: string,
  ) {
    const packageJson = this.json<PackageJson>('package.json');
    if (packageJson?.dependencies?.['@nestjs/core'] === undefined) {
      const message =
        'There is no Nest application here (no package.json with @nestjs/core): run it in the application’s folder.';
      throw new CommandFailure('NOT_A_NEST_APPLICATION', message);
    }
    this.packageJson = packageJson;
    this.modulePath = module === undefined ? undefined : relative(folder, resolve(folder, module));
    const { projects = {}, ...whole } = this.json<NestCli>('nest-cli.json') ?? {};
    const candidates = [...Object.values(projects), whole].map((application) => ({
      root: normalize(application.sourceRoot ?? 'src').replace(/\/$/, ''),
      entry: (application.entryFile ?? 'main').replace(/\.[jt]s$/, '').replace(/^.*\//, ''),
    }));
    const found = candidates.findLast(({ root }) => this.modulePath?.startsWith(`${root}/`) ?? true);
    if (!found) throw byHand(`${module} is not below ${candidates.at(-1)!.root}, where the application is`, module!);
    if (this.modulePath && !this.modulePath.endsWith('.ts')) throw notTypeScript(this.modulePath);
    this.sourceRoot = found.root;
    this.entry = `${found.root}/${found.entry}.ts`;
  }

  /** The file that bootstraps the application, whether or not there is one. */
  readonly entry: string;
  /** The file of `--module`, from the folder. */
  readonly modulePath: string | undefined;

  /** Whether its files are ES modules. */
  get isModule(): boolean {
    return this.packageJson.type === 'module';
  }

  get dependencies(): Readonly<Record<string, string>> {
    return { ...this.packageJson.devDependencies, ...this.packageJson.dependencies };
  }

  /**
   * The text of a file, or `undefined` if there is none.
   *
   * @throws {CommandFailure} `NOT_UTF8`: written back, it would not be the same.
   */
  read(path: string): string | undefined {
    const file = join(this.folder, path);
    if (!existsSync(file)) return undefined;
    const bytes = readFileSync(file);
    if (isUtf8(bytes)) return bytes.toString();
    throw new CommandFailure('NOT_UTF8', `${path} is not UTF-8: save it so, and run this again. Nothing was changed.`);
  }

  /** Whether git has the file already, so that .gitignore does not apply to it; not without git. */
  isTracked(path: string): boolean {
    return spawnSync('git', ['ls-files', '--error-unmatch', '--', path], { cwd: this.folder }).status === 0;
  }

  /** Each file has one object, so that all additions to it come together. */
  source(path: string): SourceFile | undefined {
    const known = this.files.get(path);
    if (known) return known;
    const text = this.read(path);
    if (text === undefined) return undefined;
    const file = new SourceFile(path, text);
    this.files.set(path, file);
    return file;
  }

  /** The files of the application, without tests. What is `unreadable` is left out. */
  sources(): SourceFile[] {
    const folder = join(this.folder, this.sourceRoot);
    if (!existsSync(folder)) return [];
    return readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .map((path) => path.replaceAll('\\', '/'))
      .filter((path) => /(?<!\.d|spec|test)\.ts$/.test(path) && !/(^|\/)node_modules\//.test(path))
      .toSorted()
      .flatMap((path) => {
        try {
          return this.source(`${this.sourceRoot}/${path}`) ?? [];
        } catch (error) {
          if (!(error instanceof Unreadable)) throw error;
          this.unreadable.set(`${this.sourceRoot}/${path}`, error);
          return [];
        }
      });
  }

  /** The module of `--module`, else the one that `main.ts` bootstraps, else `AppModule`. */
  applicationModule(): NamedModule | undefined {
    if (this.modulePath !== undefined) {
      const file = this.source(this.modulePath);
      const className = file && modulesIn(file)[0];
      return file && className !== undefined ? { file, className } : undefined;
    }
    const main = this.source(this.entry);
    const bootstrapped = main && bootstrappedBy(main);
    const className = bootstrapped ?? 'AppModule';
    const imported = main?.imported.find(({ name }) => name === className);
    const named = imported?.exported === 'default' ? className : (imported?.exported ?? className);
    if (imported?.from.startsWith('.')) {
      const at = join(this.sourceRoot, imported.from.replace(/\.[jt]s$/, ''));
      for (const candidate of [`${at}.ts`, `${at}/index.ts`]) {
        const file = this.source(candidate);
        if (file && modulesIn(file).includes(named)) return { file, className: named };
      }
    }
    const found = this.sources().filter((file) => modulesIn(file).includes(named));
    return found.length === 1 ? { file: found[0]!, className: named } : undefined;
  }

  private json<T>(path: string): T | undefined {
    const text = this.read(path);
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text) as T;
    } catch (error) {
      throw new CommandFailure('NOT_A_NEST_APPLICATION', `${path} is not JSON.`, { cause: error });
    }
  }
}

/** `init` writes TypeScript. */
export const notTypeScript = (path: string): CommandFailure => byHand(`${path} is not TypeScript`, path);

/** The classes with `@Module(…)`. */
function modulesIn({ tokens }: SourceFile): string[] {
  const names: string[] = [];
  for (let i = 0, pending = false; i < tokens.length; i++) {
    if (matches(tokens, i, '@', 'Module', '(')) pending = true;
    if (pending && tokens[i]!.text === 'class' && tokens[i]!.kind === 'word') {
      names.push(tokens[i + 1]?.text ?? '');
      pending = false;
    }
  }
  return names;
}

/** The first argument of `NestFactory.create(…)`. */
function bootstrappedBy({ tokens }: SourceFile): string | undefined {
  for (let i = 0; i < tokens.length; i++) {
    if (!matches(tokens, i, 'NestFactory', '.')) continue;
    if (!/^create(Microservice|ApplicationContext)?$/.test(tokens[i + 2]?.text ?? '')) continue;
    const open = tokens.findIndex(({ text }, j) => j > i && text === '(');
    const argument = tokens[open + 1];
    if (argument?.kind === 'word' && /^[,)]$/.test(tokens[open + 2]?.text ?? '')) return argument.text;
  }
  return undefined;
}
