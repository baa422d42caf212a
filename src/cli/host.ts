import { resolve } from 'node:path';
import type { AuthModuleExtras } from '../auth.module-definition.js';
import type { AuthOptions } from '../config/auth-options.js';
import type { RouteOptions } from '../config/route-options.js';
import { EXTRA_DEFAULTS } from '../config/extra-defaults.js';
import { isRecord } from '../config/option-checker.js';
import type { Option, Values } from './command.js';
import { CommandFailure } from './failure.js';
import { loadModule, LOADER_REMEDY } from './typescript-loader.js';

export const CONFIG_OPTION: Readonly<Record<string, Option>> = {
  config: {
    type: 'string',
    value: '<file>',
    help: 'TypeScript or JavaScript file whose default export (or `authOptions`) is what AuthModule.forRoot is given',
    env: 'LATCHKEY_CONFIG',
  },
};

export const CONFIG_NOTE = `
A configuration file for --config is the one that the application itself imports:

  // src/auth.options.ts
  export default { secrets: [process.env.AUTH_SECRET!], routes: { path: 'auth' } } satisfies AuthOptions & AuthModuleExtras;
  // src/app.module.ts
  AuthModule.forRoot(authOptions)

  AUTH_SECRET=… npx nestjs-latchkey doctor --config src/auth.options.ts

Its default export may be a function too, also an async one. It runs with this command's environment, so give it the
variables of production. TypeScript is loaded by the project's own tsx, ts-node or @swc-node/register, or by Node itself
from 22.18 on.`;

/** What the application passes to `forRoot`: not yet checked, so every part of it may be anything. */
export interface HostConfiguration {
  readonly options: AuthOptions;
  readonly routes: RouteOptions | undefined;
  readonly extras: Omit<AuthModuleExtras, 'routes'>;
}

/** `undefined` without `--config`. Throws a failure that says what is wrong with the file, never what it contains. */
export async function hostConfiguration(values: Values): Promise<HostConfiguration | undefined> {
  const file = values.text('config');
  if (file === undefined) return undefined;
  const exported = await evaluate(file);
  if (!isRecord(exported)) {
    const message = `The default export of ${file} is not the options of AuthModule: export an object, or a function.`;
    throw new CommandFailure('CONFIG_UNREADABLE', message);
  }
  const isExtra = ([name]: [string, unknown]) => Object.hasOwn(EXTRA_DEFAULTS, name);
  const parts = Object.entries(exported);
  const { routes, ...extras } = Object.fromEntries(parts.filter(isExtra)) as AuthModuleExtras;
  const options = Object.fromEntries(parts.filter((part) => !isExtra(part))) as unknown as AuthOptions;
  return { options, routes, extras };
}

async function evaluate(file: string): Promise<unknown> {
  try {
    const exported = exportOf(await loadModule(resolve(file)));
    return typeof exported === 'function' ? await (exported as () => unknown)() : exported;
  } catch (error) {
    const { code, name, message: said } = error as { code?: unknown; name?: unknown; message?: unknown };
    const why = typeof code === 'string' ? code : String(name);
    // Node's own words, which have no more than paths in them; any other error may quote what is in the file.
    const missing = why.endsWith('MODULE_NOT_FOUND') ? `: ${String(said).split('\n')[0]}` : '';
    const isUnknownType = code === 'ERR_UNKNOWN_FILE_EXTENSION' || /\.[cm]?ts$/.test(file);
    const remedy =
      isUnknownType && !missing
        ? `to load TypeScript, ${LOADER_REMEDY}`
        : '--config takes a file that node can import, such as src/auth.options.ts or dist/auth.options.js';
    const message = `Cannot load ${file} (${why}${missing}): ${remedy}.`;
    throw new CommandFailure('CONFIG_UNREADABLE', message, { cause: error });
  }
}

/**
 * `authOptions`, else the default export. A CommonJS module is the default export of itself, and one compiled by
 * TypeScript has its own default export one level further down.
 */
function exportOf(module: unknown): unknown {
  if (!isRecord(module)) return module;
  if (module['authOptions'] !== undefined) return module['authOptions'];
  const { default: exported } = module;
  const isWrapped = isRecord(exported) && (exported['__esModule'] === true || exported['authOptions'] !== undefined);
  return isWrapped ? exportOf(exported) : exported;
}
