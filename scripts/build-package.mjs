/**
 * Takes the documentation out of the code in `dist`, where it stands in the declarations too; the comments that say why
 * stay, for whoever reads the code. And writes `dist/commonjs`: the package for a `require` that cannot load ES modules, such as that of Jest. Node itself
 * loads the ES modules for `require` too (by the condition `module-sync`), so a process has each class only once.
 */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';

const TARGET = 'dist/commonjs';
const { config } = ts.readConfigFile('tsconfig.json', (path) => readFileSync(path, 'utf8'));
const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, '.');
const compilerOptions = { ...options, module: ts.ModuleKind.CommonJS, removeComments: true };

for (const path of readdirSync('dist', { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.js'))) {
  const code = readFileSync(join('dist', path), 'utf8');
  writeFileSync(join('dist', path), withoutDocumentation(code));
}

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

function withoutDocumentation(code) {
  const file = ts.createSourceFile('module.js', code, ts.ScriptTarget.ESNext, true, ts.ScriptKind.JS);
  const blocks = new Map();
  const visit = (node) => {
    for (const { pos, end } of ts.getLeadingCommentRanges(code, node.pos) ?? []) {
      if (code.startsWith('/**', pos)) blocks.set(pos, /\n[ \t]*$/.test(code.slice(0, pos)) ? end + 1 : end);
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  let left = '';
  let from = 0;
  for (const [pos, end] of [...blocks].toSorted(([a], [b]) => a - b)) {
    left += code.slice(from, pos).replace(/[ \t]+$/, '');
    from = end;
  }
  return left + code.slice(from);
}
