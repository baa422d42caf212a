import { Converter, ReflectionKind } from 'typedoc';

/** What a program imports, by the file of the entry. */
const NAMES = new Map([
  ['index', 'nestjs-latchkey'],
  ['flows', 'nestjs-latchkey/flows'],
  ['engine', 'nestjs-latchkey/engine'],
  ['testing', 'nestjs-latchkey/testing'],
  ['engines/redis', 'nestjs-latchkey/redis'],
  ['openapi', 'nestjs-latchkey/openapi'],
  ['oidc/providers', 'nestjs-latchkey/providers'],
]);

/** Entries get the names of imports. A constructor without a comment is one that only the injector calls. */
export function load({ converter }) {
  converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const entry of project.children) {
      if (!NAMES.has(entry.name)) throw new Error(`docs/.vitepress/typedoc-plugin.mjs does not know ${entry.name}.`);
      entry.name = NAMES.get(entry.name);
    }
    for (const constructor of project.getReflectionsByKind(ReflectionKind.Constructor)) {
      const isDocumented = constructor.signatures?.some(({ comment }) => comment !== undefined);
      const takesNothing = constructor.signatures?.every(({ parameters = [] }) => parameters.length === 0);
      if (!isDocumented && !takesNothing) project.removeReflection(constructor);
    }
  });
}
