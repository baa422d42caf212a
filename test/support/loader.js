import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ENTRIES, SWC_OPTIONS } from './typescript.js';

// Node's module hooks, see register.js. A process of the tests loads some 200 files: each is compiled once and kept.

const ROOT = new URL('../../', import.meta.url);
const CACHE = new URL('node_modules/.cache/nestjs-latchkey/', ROOT);
mkdirSync(CACHE, { recursive: true });

export async function resolve(specifier, context, next) {
  const entry = ENTRIES[specifier];
  if (entry) return { url: new URL(entry, ROOT).href, shortCircuit: true };
  if (specifier.startsWith('.') && specifier.endsWith('.js') && context.parentURL?.endsWith('.ts')) {
    const source = new URL(specifier.replace(/js$/, 'ts'), context.parentURL);
    if (existsSync(source)) return { url: source.href, shortCircuit: true };
  }
  return next(specifier, context);
}

export async function load(url, context, next) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return next(url, context);
  return { format: 'module', source: await compiled(fileURLToPath(url)), shortCircuit: true };
}

async function compiled(filename) {
  const text = readFileSync(filename, 'utf8');
  const key = createHash('sha256')
    .update(JSON.stringify([SWC_OPTIONS, filename, text]))
    .digest('hex');
  const kept = new URL(`${key}.js`, CACHE);
  if (existsSync(kept)) return readFileSync(kept, 'utf8');
  const { transformSync } = await import('@swc/core');
  const { code } = transformSync(text, { ...SWC_OPTIONS, filename, sourceMaps: 'inline', swcrc: false });
  // Another process may read it at this moment: it appears whole or not at all.
  const written = new URL(`${key}.${process.pid}`, CACHE);
  writeFileSync(written, code);
  renameSync(written, kept);
  return code;
}
