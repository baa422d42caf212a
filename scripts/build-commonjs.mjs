/**
 * Writes `dist/commonjs`: the package for a `require` that cannot load ES modules, such as that of Jest. Node itself
 * loads the ES modules for `require` too (by the condition `module-sync`), so a process has each class only once.
 */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';

const TARGET = 'dist/commonjs';
const { config } = ts.readConfigFile('tsconfig.json', (path) => readFileSync(path, 'utf8'));
const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, '.');
/** Without the comments: whoever reads the code has them in `dist`. */
const compilerOptions = { ...options, module: ts.ModuleKind.CommonJS, removeComments: true };

// Listed before `dist/commonjs` is there. Nobody imports the command line.
const declarations = readdirSync('dist', { recursive: true, encoding: 'utf8' }).filter(
  (path) => path.endsWith('.d.ts') && !path.startsWith('cli/'),
);
for (const declaration of declarations) {
  const module = declaration.slice(0, -'.d.ts'.length);
  const target = join(TARGET, module);
  const source = readFileSync(join('src', `${module}.ts`), 'utf8').replaceAll('import.meta.url', '__filename');
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(join('dist', declaration), `${target}.d.ts`);
  writeFileSync(`${target}.js`, ts.transpileModule(source, { compilerOptions }).outputText);
}
writeFileSync(join(TARGET, 'package.json'), '{ "type": "commonjs", "sideEffects": false }\n');
