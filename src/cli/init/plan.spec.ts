import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import ts from 'typescript';
import { planOf } from './plan.js';
import { Project } from './project.js';

const folders: string[] = [];
afterEach(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true })));

const PACKAGE = JSON.stringify({ name: 'app', dependencies: { '@nestjs/core': '^11.0.1' } });
const APP = `import { Module } from '@nestjs/common';

@Module({
  imports: [],
})
export class AppModule {}
`;

/** What would be changed in an application of these files; every changed TypeScript file still parses. */
function planned(files: Record<string, string | Buffer>, module?: string) {
  const folder = written(files);
  const plan = planOf(new Project(folder, module));
  const after = Object.fromEntries(plan.changes.map(({ path, after: text }) => [path, text]));
  for (const [path, text] of Object.entries(after)) if (path.endsWith('.ts')) expect(mistakesIn(text)).toEqual([]);
  return { ...plan, after };
}

function written(files: Record<string, string | Buffer>): string {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-plan-'));
  folders.push(folder);
  for (const [path, text] of Object.entries({ 'package.json': PACKAGE, ...files })) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

function mistakesIn(text: string): string[] {
  const { diagnostics = [] } = ts.transpileModule(text, {
    reportDiagnostics: true,
    compilerOptions: { experimentalDecorators: true, target: ts.ScriptTarget.ES2022 },
  });
  return diagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}

function refused(files: Record<string, string>, module?: string): { message: string; instructions: string } {
  try {
    planned(files, module);
  } catch (error) {
    expect(error).toMatchObject({ code: 'INIT_BY_HAND', instructions: expect.stringContaining('@Module') });
    return error as { message: string; instructions: string };
  }
  throw new Error('It was not refused.');
}

const withImports = (imports: string) => APP.replace('imports: []', `imports: ${imports}`);
const connection = (options: string) =>
  withImports(`[TypeOrmModule.forRoot(${options})]`).replace(
    'import',
    "import { TypeOrmModule } from '@nestjs/typeorm';\nimport",
  );

describe('init, the application module', () => {
  it('is the one that main.ts bootstraps, whatever its name, file and place', () => {
    const root = APP.replace('AppModule', 'RootModule');
    const main = `import { RootModule as Root } from './core/root.js';
      await NestFactory.create<NestExpressApplication>(Root, new FastifyAdapter());`;
    const { after } = planned({ 'src/main.ts': main, 'src/core/root.ts': root, 'src/app.module.ts': APP });
    expect(after['src/core/root.ts']).toContain('AuthModule.forRoot({');
    expect(after['src/core/root.ts']).toContain("import '../load-env.js';");
    expect(after['src/app.module.ts']).toBeUndefined();
  });

  it('is found by its class where the import is an alias of paths', () => {
    const main = "import { AppModule } from '@app/root';\nNestFactory.create(AppModule);";
    const { after } = planned({ 'src/main.ts': main, 'src/root/root.module.ts': APP });
    expect(after['src/root/root.module.ts']).toContain('AuthModule.forRoot({');
  });

  it('is in the sourceRoot of nest-cli.json', () => {
    const files = { 'nest-cli.json': '{ "sourceRoot": "apps/api/src" }', 'apps/api/src/app.module.ts': APP };
    expect(planned(files).after['apps/api/src/app.module.ts']).toContain('AuthModule.forRoot({');
  });

  it('is the one that --module names', () => {
    const { after } = planned({ 'src/a.ts': APP, 'src/b.ts': APP }, 'src/b.ts');
    expect(Object.keys(after)).toContain('src/b.ts');
    expect(Object.keys(after)).not.toContain('src/a.ts');
  });

  it.each([
    ['no module', {}],
    ['two of the name', { 'src/a.ts': APP, 'src/b.ts': APP }],
    ['metadata from elsewhere', { 'src/app.module.ts': APP.replace(/\{\s*imports[^}]*\}/, 'metadata') }],
    ['imports that are computed', { 'src/app.module.ts': withImports('importsOf(process.env)') }],
    ['metadata with a spread', { 'src/app.module.ts': APP.replace('imports: []', '...base') }],
    ['a computed key', { 'src/app.module.ts': APP.replace('imports: []', "['imports']: [Cats]") }],
    ['imports with something behind them', { 'src/app.module.ts': withImports('[].concat(others)') }],
  ])('%s: says what to do by hand', (_, files) => {
    expect(refused(files).message).toMatch(/Nothing was changed\.$/);
  });

  it('a folder without an application', () => {
    expect(() => planned({ 'package.json': '{}' })).toThrow(/no Nest application here/);
  });
});

describe('init, the connection', () => {
  it('none: a new one by DATABASE_URL, which runs the migrations', () => {
    const { after, next } = planned({ 'src/app.module.ts': APP });
    expect(after['src/app.module.ts']).toContain("url: process.env['DATABASE_URL']");
    expect(after['src/app.module.ts']).toContain('migrationsRun: true');
    expect(after['.env']).toMatch(/^AUTH_SECRET=[\w-]{64}\nDATABASE_URL=postgres:.*\n$/);
    expect(next[0]).toBe('npm install nestjs-latchkey @nestjs/typeorm@11 typeorm pg');
  });

  it.each([
    [
      'on one line',
      "{ type: 'postgres', entities: [User], synchronize: true }",
      "{ type: 'postgres', entities: [User, ...authEntities], synchronize: true, migrations: [...authMigrations], migrationsRun: true }",
    ],
    [
      'without entities',
      "{\n      type: 'postgres',\n      autoLoadEntities: true\n    }",
      "{\n      type: 'postgres',\n      autoLoadEntities: true,\n      entities: [...authEntities],\n      migrations: [...authMigrations],\n      migrationsRun: true,\n    }",
    ],
    [
      'with a line each, and comments',
      "{\n      type: 'postgres', // ours\n      entities: [\n        User, // people\n      ],\n      migrations: ['dist/*.js'], // }\n    }",
      "{\n      type: 'postgres', // ours\n      entities: [\n        User, // people\n        ...authEntities,\n      ],\n      migrations: ['dist/*.js', ...authMigrations], // }\n    }",
    ],
  ])('%s: gets the entities and migrations, and keeps its layout', (_, options, expected) => {
    const { after } = planned({ 'src/app.module.ts': connection(options) });
    expect(after['src/app.module.ts']).toContain(`TypeOrmModule.forRoot(${expected})`);
    expect(after['src/app.module.ts']!.match(/TypeOrmModule\.forRoot/g)).toHaveLength(1);
    expect(after['.env']).not.toContain('DATABASE_URL');
  });

  it('with migrations of its own: when they run stays the application’s decision', () => {
    const { after, next } = planned({ 'src/app.module.ts': connection("{ type: 'postgres', migrations: [One] }") });
    expect(after['src/app.module.ts']).not.toContain('migrationsRun');
    expect(next.join()).toContain('npx nestjs-latchkey migrate');
  });

  it('in another module, by a factory and with a name: that file gets the entities, AuthModule the name', () => {
    const database = `import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
@Module({
  imports: [
    TypeOrmModule.forRootAsync({
      name: 'main',
      inject: [ConfigService],
      useFactory: async (config: ConfigService) => {
        const pattern = /[/'"\`{]/;
        return { type: 'postgres', url: \`\${config.get(\`URL_\${'}'}\`)}\`, entities: [] };
      },
    }),
  ],
})
export class DatabaseModule {}
`;
    const { after } = planned({ 'src/app.module.ts': APP, 'src/database.module.ts': database });
    expect(after['src/database.module.ts']).toContain('entities: [...authEntities], migrations: [...authMigrations]');
    expect(after['src/database.module.ts']).toContain(
      "import { authEntities, authMigrations } from 'nestjs-latchkey';",
    );
    expect(after['src/app.module.ts']).toContain("dataSource: 'main',");
    expect(after['src/app.module.ts']).not.toContain('TypeOrmModule');
  });

  it.each([
    ['of another database', "{ type: 'mysql' }"],
    ['whose type is computed', '{ type: process.env.DB }'],
    ['whose options are elsewhere', 'options'],
    ['whose entities are elsewhere', "{ type: 'postgres', entities }"],
    ['whose entities are an object', "{ type: 'postgres', entities: { User } }"],
    ['with a spread', "{ type: 'postgres', ...orm }"],
    ['with a computed key', "{ type: 'postgres', ['entities']: [User] }"],
    ['one of two', "{ type: 'postgres' }), TypeOrmModule.forRoot({ type: 'postgres', name: 'b' }"],
  ])('%s: says what to do by hand', (_, options) => {
    refused({ 'src/app.module.ts': connection(options) });
  });
});

describe('init, a file that cannot be read', () => {
  const open = "const open = 'ab\n";

  it.each([
    ['may hold the connection', { 'src/app.module.ts': APP, 'src/db.ts': `${open}TypeOrmModule.forRoot({})` }],
    [
      'is the application module',
      { 'src/main.ts': "import { A } from './a';\nNestFactory.create(A)", 'src/a.ts': open },
    ],
    ['is main.ts', { 'src/main.ts': open, 'src/app.module.ts': APP }],
  ])('%s: says what to do by hand', (_, files) => {
    expect(refused(files).message).toMatch(/^src\/.*cannot be read: a string without an end\. Nothing was changed\.$/);
  });

  it('is none of these: it is left alone', () => {
    expect(planned({ 'src/app.module.ts': APP, 'src/x.ts': open }).after['src/app.module.ts']).toContain('AuthModule');
  });
});

describe('init, the style', () => {
  it('comments inside a one-line list stay', () => {
    const textOf = (imports: string) =>
      planned({ 'src/app.module.ts': withImports(imports) }).after['src/app.module.ts'];
    expect(textOf("[/* it's none */]")).toContain("imports: [/* it's none */\n    TypeOrmModule.forRoot({");
    expect(textOf('[Cats /* last */]')).toContain('imports: [\n    Cats, /* last */\n    TypeOrmModule.forRoot({');
    expect(
      planned({
        'src/app.module.ts': connection("{ type: 'postgres', entities: [/* none */], migrations: [M /* one */] }"),
      }).after['src/app.module.ts'],
    ).toContain('entities: [/* none */ ...authEntities], migrations: [M, ...authMigrations /* one */]');
  });

  it('double quotes, tabs, no semicolons, CRLF: as the file has them', () => {
    const source =
      'import { Module } from "@nestjs/common"\r\nimport { Cats } from "./cats"\r\n\r\n@Module({\r\n\timports: [Cats],\r\n})\r\nexport class AppModule {}\r\n';
    const { after } = planned({ 'src/app.module.ts': source });
    const text = after['src/app.module.ts']!;
    expect(text.replaceAll('\r\n', '')).not.toContain('\n');
    expect(text).not.toMatch(/[';]/);
    expect(text).toContain('\r\n\t\tAuthModule.forRoot({\r\n\t\t\tsecrets: [process.env["AUTH_SECRET"]!],\r\n');
    expect(text).toContain('import { MeController } from "./me.controller"\r\n');
    expect(after['src/me.controller.ts']).toContain('\r\n\t@Public()\r\n');
  });

  it('several modules on one line are given a line each; a module with nothing gets `imports`', () => {
    expect(
      planned({ 'src/app.module.ts': withImports('[Cats, Dogs.forRoot({ bark: [1, 2] })]') }).after[
        'src/app.module.ts'
      ],
    ).toContain('imports: [\n    Cats,\n    Dogs.forRoot({ bark: [1, 2] }),\n    TypeOrmModule.forRoot({\n');
    const empty = APP.replace(/\{\s*imports: \[\],\s*\}/, '{}');
    expect(planned({ 'src/app.module.ts': empty }).after['src/app.module.ts']).toContain(
      'controllers: [MeController],',
    );
  });

  it('an AuthModule of the application’s own keeps its name', () => {
    const source = withImports('[AuthModule]').replace(
      'import',
      "import { AuthModule } from './auth/auth.module';\nimport",
    );
    const text = planned({ 'src/app.module.ts': source }).after['src/app.module.ts']!;
    expect(text).toContain('AuthModule as LatchkeyModule');
    expect(text).toContain('LatchkeyModule.forRoot({');
  });
});

describe('init, the files beside it', () => {
  const app = { 'src/app.module.ts': APP };

  it('.env: appends, and never a second AUTH_SECRET', () => {
    expect(planned({ ...app, '.env': 'PORT=1' }).after['.env']).toMatch(
      /^PORT=1\nAUTH_SECRET=[\w-]{64}\nDATABASE_URL=.*\n$/,
    );
    for (const there of ['AUTH_SECRET=mine\nDATABASE_URL=x\n', 'export AUTH_SECRET = ""\nDATABASE_URL=x']) {
      expect(planned({ ...app, '.env': there }).after['.env']).toBeUndefined();
    }
    // Negative control: the name alone, or another one.
    expect(planned({ ...app, '.env': '# AUTH_SECRET=no\nOLD_AUTH_SECRET=no\n' }).after['.env']).toContain(
      '\nAUTH_SECRET=',
    );
  });

  it.each([
    ['.env', undefined],
    ['node_modules\n*.env\n', undefined],
    ['.env\n!.env', '.env\n!.env\n.env\n'],
    ['.env.local', '.env.local\n.env\n'],
    ['*\n!*.*\n', '*\n!*.*\n.env\n'],
    ['.env\n!/config/.env', '.env\n!/config/.env\n.env\n'],
    ['*\n!*.*\n.env\n# mine', undefined],
    ['.env*\n!.env.example', undefined],
  ])('.gitignore %j', (there, after) => {
    expect(planned({ ...app, '.gitignore': there }).after['.gitignore']).toBe(after);
  });

  it('.env that git has already: the secret is not written into it', () => {
    const folder = written({ ...app, '.env': 'PORT=1\n' });
    const git = (...args: string[]) => execFileSync('git', args, { cwd: folder });
    git('init', '-q');
    // Negative control: in a repository, and not in its index.
    expect(planOf(new Project(folder)).changes.map(({ path }) => path)).toContain('.env');
    git('add', '.env');
    expect(() => planOf(new Project(folder))).toThrow(/`git rm --cached \.env`.*Nothing was changed\.$/);
    writeFileSync(join(folder, '.env'), 'AUTH_SECRET=theirs\nDATABASE_URL=x\n');
    expect(planOf(new Project(folder)).kept).toContain('.env has AUTH_SECRET already.');
  });

  it('does not load .env twice, nor write over a file, nor take a route that is taken', () => {
    const config = { 'src/x.module.ts': 'export const x = ConfigModule.forRoot();' };
    expect(planned({ ...app, ...config }).after['src/load-env.ts']).toBeUndefined();
    const { after, kept } = planned({ ...app, 'src/me.controller.ts': '// mine', 'src/load-env.ts': '// mine' });
    expect(Object.keys(after).toSorted()).toEqual(['.env', '.gitignore', 'src/app.module.ts']);
    expect(kept).toContain('src/me.controller.ts exists, and is left as it is.');
    expect(after['src/app.module.ts']).not.toContain('MeController');
    expect(
      planned({ ...app, 'src/a.ts': "@Controller('me') class A {}" }).after['src/me.controller.ts'],
    ).toBeUndefined();
  });

  it('a file that is not UTF-8 is not written back as something else; one with a byte order mark keeps it', () => {
    for (const path of ['.env', '.gitignore', 'src/app.module.ts']) {
      const latin1 = Buffer.from(`${APP}// caf\u00e9`, 'latin1');
      expect(() => planned({ ...app, [path]: latin1 })).toThrow(expect.objectContaining({ code: 'NOT_UTF8' }));
    }
    expect(planned({ 'src/app.module.ts': `\uFEFF${APP}` }).after['src/app.module.ts']).toMatch(/^\uFEFF/);
  });

  it('again: nothing', () => {
    const first = planned(app);
    const again = planned({ ...app, ...first.after });
    expect(again.changes).toEqual([]);
  });

  it('a monorepo: the application of --module, whatever the others have', () => {
    const application = (name: string) => ({ sourceRoot: `apps/${name}/src`, entryFile: 'main' });
    const main = `import { NestFactory } from '@nestjs/core';\nimport { AppModule } from './app.module';\nvoid NestFactory.create(AppModule);\n`;
    const files = {
      'nest-cli.json': JSON.stringify({
        ...application('one'),
        monorepo: true,
        projects: { one: application('one'), two: application('two') },
      }),
      'apps/one/src/main.ts': main,
      'apps/one/src/app.module.ts': `import { AuthModule } from 'nestjs-latchkey';\n${withImports('[AuthModule.forRoot({})]')}`,
      'apps/two/src/main.ts': main,
      'apps/two/src/app.module.ts': APP,
    };
    expect(planned(files).kept).toContain('apps/one/src/app.module.ts has AuthModule already.');
    const { after } = planned(files, './apps/two/src/app.module.ts');
    expect(after['apps/two/src/app.module.ts']).toContain('AuthModule.forRoot(');
    expect(Object.keys(after).toSorted()).toEqual([
      '.env',
      '.gitignore',
      'apps/two/src/app.module.ts',
      'apps/two/src/load-env.ts',
      'apps/two/src/me.controller.ts',
    ]);
    expect(refused(files, 'libs/auth/src/auth.module.ts').message).toMatch(/is not below apps\/one\/src/);
  });

  it.each([undefined, 'src/app.module.js'])('JavaScript is changed by hand (--module %s)', (module) => {
    const files = { 'src/main.js': 'bootstrap();', 'src/app.module.js': APP };
    const { message, instructions } = refused(files, module);
    expect(message).toMatch(/\.js is not TypeScript\. Nothing was changed\.$/);
    expect(instructions).toContain("process.env['AUTH_SECRET']],");
  });
});
