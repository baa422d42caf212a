import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { AuthModuleExtras } from '../auth.module-definition.js';
import type { AuthOptions } from '../config/auth-options.js';
import type { RouteOptions } from '../config/route-options.js';
import { EXTRA_DEFAULTS } from '../config/extra-defaults.js';
import { isRecord } from '../config/option-checker.js';
import type { Option, Values } from './command.js';
import { CommandFailure } from './failure.js';

export const CONFIG_OPTION: Readonly<Record<string, Option>> = {
  config: {
    type: 'string',
    value: '<file>',
    help: 'JavaScript module whose default export (or `authOptions`) is what AuthModule.forRoot is given',
    env: 'LATCHKEY_CONFIG',
  },
};

export const CONFIG_NOTE = `
A configuration file for --config is the one that the application itself imports:

  // src/auth.options.ts
  export default { secrets: [process.env.AUTH_SECRET!], routes: { path: 'auth' } } satisfies AuthOptions & AuthModuleExtras;
  // src/app.module.ts
  AuthModule.forRoot(authOptions)

  AUTH_SECRET=… npx nestjs-latchkey doctor --config dist/auth.options.js

Its default export may be a function too, also an async one. It runs with this command's environment, so give it the
variables of production.`;

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
    const module = (await import(pathToFileURL(resolve(file)).href)) as Record<string, unknown>;
    const exported = module['authOptions'] ?? withoutInterop(module['default']);
    return typeof exported === 'function' ? await (exported as () => unknown)() : exported;
  } catch (error) {
    const { code, name } = error as { code?: unknown; name?: unknown };
    const why = typeof code === 'string' ? code : String(name);
    const message = `Cannot load ${file} (${why}): --config takes a JavaScript file that node can import, such as dist/auth.options.js.`;
    throw new CommandFailure('CONFIG_UNREADABLE', message, { cause: error });
  }
}

/** A CommonJS module compiled by TypeScript has its default export one level further down. */
function withoutInterop(exported: unknown): unknown {
  return isRecord(exported) && exported['__esModule'] === true ? exported['default'] : exported;
}
