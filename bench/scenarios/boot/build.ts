import { transformFileSync } from '@swc/core';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCES = new URL('../../../src/', import.meta.url);
/** Where Node finds the packages that we import. */
const BUILT = new URL('../../../node_modules/.cache/nestjs-latchkey-bench/', import.meta.url);

/** Our sources as JavaScript, as they are installed; the address of the index. */
export function build(): URL {
  rmSync(BUILT, { recursive: true, force: true });
  mkdirSync(BUILT, { recursive: true });
  writeFileSync(new URL('package.json', BUILT), JSON.stringify({ type: 'module' }));
  for (const file of readdirSync(SOURCES, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts') || file.endsWith('.spec.ts')) continue;
    const { code } = transformFileSync(fileURLToPath(new URL(file, SOURCES)), {
      swcrc: false,
      jsc: {
        parser: { syntax: 'typescript', decorators: true },
        transform: { legacyDecorator: true, decoratorMetadata: true },
        target: 'es2023',
        keepClassNames: true,
      },
      module: { type: 'es6' },
    });
    const built = fileURLToPath(new URL(file.replace(/ts$/, 'js'), BUILT));
    mkdirSync(dirname(built), { recursive: true });
    writeFileSync(built, code);
  }
  return new URL('index.js', BUILT);
}
