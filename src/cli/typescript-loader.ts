import { existsSync, readFileSync } from 'node:fs';
import { createRequire, register } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** What to install where nothing below is there. */
export const LOADER_REMEDY =
  'npm install --save-dev tsx, use Node 22.18 or later, or name the compiled file, such as dist/auth.options.js';

/** A package of the host's that lets Node load TypeScript, for files of either module system. */
interface Loader {
  readonly package: string;
  readonly commonjs: (require: NodeJS.Require) => unknown;
  readonly module: (require: NodeJS.Require, parent: string) => unknown;
}

const SWC_NODE: Loader = {
  package: '@swc-node/register',
  commonjs: (require) => require('@swc-node/register'),
  module: (_, parent) => register('@swc-node/register/esm', parent),
};
const TS_NODE: Loader = {
  package: 'ts-node',
  commonjs: (require) =>
    (require('ts-node') as { register: (options: object) => unknown }).register({ transpileOnly: true }),
  module: (_, parent) => register('ts-node/esm/transpile-only', parent),
};
const TSX: Loader = {
  package: 'tsx',
  commonjs: (require) => (require('tsx/cjs/api') as { register: () => unknown }).register(),
  // The build for `require`, which would be resolved from here, looks for its hooks in the wrong folder (tsx 4).
  module: async (require) => {
    const { exports } = require('tsx/package.json') as { exports: Record<string, { import: { default: string } }> };
    const entry = join(dirname(require.resolve('tsx/package.json')), exports['./esm/api']!.import.default);
    return ((await import(pathToFileURL(entry).href)) as { register: () => unknown }).register();
  },
};

/**
 * Loads a file as Node does; TypeScript by the first of the project's own loaders that is installed, those first that
 * know the metadata of decorators. Without one Node tries by itself, which from 22.18 on knows types.
 */
export async function loadModule(path: string): Promise<unknown> {
  const { href } = pathToFileURL(path);
  if (!/^\.[cm]?ts$/.test(extname(path))) return import(href);
  const require = createRequire(path);
  const isCommonJs = kindOf(path) === 'commonjs';
  const loaders = isCommonJs ? [SWC_NODE, TS_NODE, TSX] : [SWC_NODE, TSX, TS_NODE];
  const loader = loaders.find(({ package: name }) => isInstalled(require, name));
  if (!loader) return import(href);
  if (!isCommonJs) {
    await loader.module(require, href);
    return import(href);
  }
  await loader.commonjs(require);
  // As `import` presents a CommonJS module.
  return { default: require(path) as unknown };
}

function isInstalled(require: NodeJS.Require, name: string): boolean {
  return (require.resolve.paths(name) ?? []).some((folder) => existsSync(join(folder, name, 'package.json')));
}

/** What Node takes the file for. */
function kindOf(path: string): 'commonjs' | 'module' {
  if (path.endsWith('.mts')) return 'module';
  if (path.endsWith('.cts')) return 'commonjs';
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const file = join(folder, 'package.json');
    if (existsSync(file)) {
      const { type } = JSON.parse(readFileSync(file, 'utf8')) as { type?: string };
      return type === 'module' ? 'module' : 'commonjs';
    }
    if (folder === dirname(folder)) return 'commonjs';
  }
}
