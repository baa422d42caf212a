/** A typedoc plugin: the entries are called what a program imports. */
import { Converter } from 'typedoc';

const NAMES = new Map([
  ['index', 'nestjs-latchkey'],
  ['engine', 'nestjs-latchkey/engine'],
  ['testing', 'nestjs-latchkey/testing'],
  ['engines/redis', 'nestjs-latchkey/redis'],
  ['openapi', 'nestjs-latchkey/openapi'],
]);

export function load({ converter }) {
  converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const entry of project.children ?? []) {
      if (!NAMES.has(entry.name))
        throw new Error(`docs/.vitepress/entry-names.mjs does not know the entry ${entry.name}.`);
      entry.name = NAMES.get(entry.name);
    }
  });
}
