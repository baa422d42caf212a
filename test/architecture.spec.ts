import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import * as testingApi from 'nestjs-latchkey/testing';
import * as engineApi from 'nestjs-latchkey/engine';
import * as flowsApi from 'nestjs-latchkey/flows';
import * as openapiApi from 'nestjs-latchkey/openapi';
import * as providersApi from 'nestjs-latchkey/providers';
import * as redisApi from 'nestjs-latchkey/redis';
import * as api from 'nestjs-latchkey';

/**
 * The layers, lowest first. A file may import files of its own layer's folder and of layers above its line; features
 * that stand side by side on one line do not import each other.
 */
const LAYERS: readonly (readonly string[])[] = [
  ['common', 'auth.errors.ts'],
  // What mails and pages say: of these the settings speak too.
  ['mail/mail.ts', 'pages/page-texts.ts'],
  ['config'],
  ['crypto', 'metrics/auth-metrics.ts'],
  ['postgres'],
  ['events', 'invalidation'],
  ['user', 'audit'],
  ['session', 'revocation', 'jwt', 'ephemeral-token', 'rate-limit'],
  ['jwt-session'],
  ['mail'],
  ['login'],
  ['legacy-session'],
  // The flows, which never import each other.
  [
    'password',
    'registration',
    'email-change',
    'account-deletion',
    'step-up',
    'two-factor',
    'passkey',
    'oidc',
    'magic-link',
    'api-key',
    'admin',
  ],
  ['auth.engine.ts'],
  ['schema'],
  ['engines/postgres'],
  // Users stay in PostgreSQL, so changes are heard from both.
  ['engines/redis'],
  ['cleanup'],
  ['http', 'health', 'metrics'],
  ['pages', 'openapi'],
  ['auth.module-definition.ts', 'auth.flows.ts'],
  ['auth.providers.ts'],
  ['auth.module.ts'],
  ['index.ts', 'flows.ts', 'engine.ts', 'testing', 'cli'],
];

/** Where TypeORM may be imported at all. */
const KNOWS_TYPEORM = /^(schema|postgres)\/|^cli\/(database|commands\/migrate\.command|doctor\/expected-schema)\.ts$/;

const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter(
  (file) => file.endsWith('.ts') && !file.endsWith('.spec.ts'),
);

interface Import {
  readonly from: string;
  readonly to: string;
}

const imports: Import[] = files.flatMap((from) =>
  [...readFileSync(join('src', from), 'utf8').matchAll(/(?:from|import\()\s*'([^']+)'/g)].map(([, specifier]) => ({
    from,
    to: specifier!.startsWith('.') ? normalize(join(dirname(from), specifier!)).replace(/\.js$/, '.ts') : specifier!,
  })),
);
const inside = imports.filter(({ to }) => files.includes(to));

/** Index of the layer and the unit in it; the longest name wins, so a file may stand apart from its folder. */
function placeOf(file: string): { layer: number; unit: string } {
  let place: { layer: number; unit: string } | undefined;
  LAYERS.forEach((units, layer) => {
    for (const unit of units) {
      const holds = file === unit || file.startsWith(`${unit}/`);
      if (holds && unit.length > (place?.unit.length ?? 0)) place = { layer, unit };
    }
  });
  if (!place) throw new Error(`src/${file} is in no layer: add it to LAYERS.`);
  return place;
}

function wrongImports(list: readonly Import[]): string[] {
  return list
    .filter(({ from, to }) => {
      const [importer, imported] = [placeOf(from), placeOf(to)];
      return imported.unit !== importer.unit && imported.layer >= importer.layer;
    })
    .map(({ from, to }) => `${from} -> ${to}`);
}

describe('architecture', () => {
  it('every file is in a layer and imports only what stands below it', () => {
    expect(wrongImports(inside)).toEqual([]);
  });

  it('sees a wrong import (negative control)', () => {
    expect(wrongImports([{ from: 'session/session.service.ts', to: 'http/session.guard.ts' }])).toHaveLength(1);
    expect(wrongImports([{ from: 'user/user.directory.ts', to: 'session/session.ts' }])).toHaveLength(1);
    expect(wrongImports([{ from: 'http/session.guard.ts', to: 'session/session.service.ts' }])).toEqual([]);
    expect(inside.length).toBeGreaterThan(50);
  });

  it('docs/architecture.md has the same layers in the same order', () => {
    const [, list] = /## Layers\n([^]*?)\n## /.exec(readFileSync('docs/architecture.md', 'utf8'))!;
    const written = [...list!.matchAll(/^1\. (.*)$/gm)].map(([, line]) =>
      [...line!.matchAll(/`([^`]+)`/g)].map(([, name]) => name),
    );
    expect(written).toEqual(LAYERS.map((layer) => layer.map((name) => name.replace(/\.ts$/, ''))));
  });

  it('has no cycle', () => {
    const seen = new Map<string, 'open' | 'done'>();
    const visit = (file: string, path: string[]): string[] | null => {
      if (seen.get(file) === 'open') return [...path, file];
      if (seen.get(file) === 'done') return null;
      seen.set(file, 'open');
      for (const { to } of inside.filter(({ from }) => from === file)) {
        const cycle = visit(to, [...path, file]);
        if (cycle) return cycle;
      }
      seen.set(file, 'done');
      return null;
    };
    for (const file of files) expect(visit(file, [])).toBeNull();
  });

  it('TypeORM stays in schema/, postgres/, and the command line', () => {
    const strays = imports.filter(({ from, to }) => to === 'typeorm' && !KNOWS_TYPEORM.test(from));
    expect(strays).toEqual([]);
  });

  it('only engines/redis/ knows node-redis, and only its entry point leads there', () => {
    const strays = imports.filter(
      ({ from, to }) => (to === 'redis' || to.startsWith('engines/redis/')) && !from.startsWith('engines/redis/'),
    );
    expect(strays).toEqual([]);
  });

  it('only oidc/oidc-client.ts knows openid-client', () => {
    const knows = imports.filter(({ to }) => to.startsWith('openid-client'));
    expect([...new Set(knows.map(({ from }) => from))]).toEqual(['oidc/oidc-client.ts']);
  });

  it('only passkey/webauthn.ts knows @simplewebauthn/server', () => {
    const knows = imports.filter(({ to }) => to.startsWith('@simplewebauthn/'));
    expect([...new Set(knows.map(({ from }) => from))]).toEqual(['passkey/webauthn.ts']);
  });

  it('nobody inside imports the barrel', () => {
    expect(inside.filter(({ to }) => /(^|\/)index\.ts$/.test(to))).toEqual([]);
  });

  it('only http knows requests', () => {
    const strays = imports.filter(({ from, to }) => /^(express|fastify|cookie)$/.test(to) && !from.startsWith('http/'));
    expect(strays.map(({ from }) => relative('.', from))).toEqual([]);
  });

  it('F11: sessions are opened in login/ only: no other folder calls a store, a service or a scheme that opens one', () => {
    const opens = /\.(?:open|create|rotate)\(/;
    const opener = /\b(?:sessions|scheme|bearer|store|service)\.(?:open|create|rotate)\(/;
    const strays = files.filter((file) => {
      const { unit } = placeOf(file);
      if (['login', 'session'].includes(unit) || unit.startsWith('engines/')) return false;
      const source = readFileSync(join('src', file), 'utf8');
      // A decorator of a store hands on what it is asked for.
      if (/class \w+ extends SessionStore\b/.test(source)) return false;
      return /SessionService|SessionStore|SessionScheme|BearerSessions/.test(source) && opener.test(source);
    });
    expect(strays).toEqual([]);
    // Negative control: the door itself does.
    expect(opens.test(readFileSync('src/login/login.service.ts', 'utf8'))).toBe(true);
    expect(opener.test(readFileSync('src/login/login.service.ts', 'utf8'))).toBe(true);
  });

  it('publishes what it published, and each name says what it is for', () => {
    const published = {
      'nestjs-latchkey': purposes('index.ts', api),
      'nestjs-latchkey/engine': purposes('engine.ts', engineApi),
      'nestjs-latchkey/flows': purposes('flows.ts', flowsApi),
      'nestjs-latchkey/openapi': purposes('openapi/index.ts', openapiApi),
      'nestjs-latchkey/providers': purposes('oidc/providers/index.ts', providersApi),
      'nestjs-latchkey/redis': purposes('engines/redis/index.ts', redisApi),
      'nestjs-latchkey/testing': purposes('testing/index.ts', testingApi),
    };
    for (const names of Object.values(published)) {
      expect(Object.entries(names).filter(([, purpose]) => purpose === '')).toEqual([]);
    }
    expect(Object.keys(published['nestjs-latchkey']).length).toBeLessThanOrEqual(40);
    expect(published).toMatchSnapshot();
  });

  it('every value of the root entry has an example', () => {
    const without = Object.entries(comments('index.ts', api))
      .filter(([name, comment]) => !UNITS.includes(name) && !hasExample(comment))
      .map(([name]) => name);
    expect(without).toEqual([]);
    expect(hasExample(comments('index.ts', api)['seconds']!)).toBe(true);
    // Negative control: a fence without a tag is no example.
    expect(hasExample('Says what.\n\n```ts\nrun();\n```')).toBe(false);
  });
});

/** They share the example of `seconds`. */
const UNITS = ['seconds', 'minutes', 'hours', 'days'];

function hasExample(comment: string): boolean {
  return /^@example\n```ts\n[\s\S]+^```$/m.test(comment);
}

/** Each value of an entry with the first sentence of its doc comment. */
function purposes(entry: string, values: object): Record<string, string> {
  return Object.fromEntries(
    Object.entries(comments(entry, values)).map(([name, comment]) => {
      const text = comment.replaceAll(/\s+/g, ' ');
      return [name, /^.*?[.:;](?= |$)/.exec(text)?.[0] ?? text];
    }),
  );
}

/** Each value of an entry with its doc comment. */
function comments(entry: string, values: object): Record<string, string> {
  const reexports = [...readFileSync(join('src', entry), 'utf8').matchAll(/export \{([^}]*)\} from '([^']+)'/g)];
  return Object.fromEntries(
    Object.keys(values)
      .toSorted()
      .map((name) => {
        const from = reexports.find(([, names]) => names!.split(',').some((one) => one.trim() === name))?.[2];
        const file = from && normalize(join(dirname(entry), from)).replace(/\.js$/, '.ts');
        return [name, file ? commentOf(name, readFileSync(join('src', file), 'utf8')) : ''];
      }),
  );
}

function commentOf(name: string, source: string): string {
  const declaration = new RegExp(`export (?:declare )?(?:abstract )?(?:async )?(?:class|function|const) ${name}\\b`);
  const before = source.slice(0, declaration.exec(source)?.index ?? 0);
  // Decorators may stand between the comment and the class.
  const comment = /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*(?:@[\w.]+\([^\n]*\)\s*)*$/.exec(before)?.[1] ?? '';
  return comment.replaceAll(/^\s*\* ?/gm, '').trim();
}
