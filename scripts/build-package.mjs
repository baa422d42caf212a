/**
 * Makes `dist`, as the compiler leaves it, the package.
 *
 * - The code loses its documentation, which stands in the declarations; the comments that say why stay, for whoever reads it.
 * - Declarations that no entry of the package leads to are dropped.
 * - `dist/commonjs` is the package for a `require` that cannot load ES modules, such as that of Jest. Node itself loads
 *   the ES modules for `require` too (by the condition `module-sync`), so a process has each class only once. Its code is
 *   the same but for imports and exports: beside each other in the archive, the two cost little more than one.
 */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { compileFunction } from 'node:vm';
import ts from 'typescript';

const TARGET = 'dist/commonjs';
const { exports } = JSON.parse(readFileSync('package.json', 'utf8'));

const files = readdirSync('dist', { recursive: true, encoding: 'utf8' });
const modules = files.filter((path) => path.endsWith('.js'));
const declarations = declarationsFrom(Object.values(exports).flatMap((entry) => entry.import?.types ?? []));

for (const path of files.filter((path) => path.endsWith('.d.ts') && !declarations.has(join('dist', path)))) {
  rmSync(join('dist', path));
}
for (const module of modules) {
  const code = withoutDocumentation(readFileSync(join('dist', module), 'utf8'));
  writeFileSync(join('dist', module), code);
  // Nobody requires the command line.
  if (!module.startsWith('cli/')) {
    const commonJs = asCommonJs(code);
    // As Node and Jest wrap it: a name such as `require` at the top of a module does not pass.
    compileFunction(commonJs, ['exports', 'require', 'module', '__filename', '__dirname'], { filename: module });
    write(join(TARGET, module), commonJs);
  }
}
for (const declaration of declarations) {
  const target = join(TARGET, declaration.slice('dist/'.length));
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(declaration, target);
}
write(join(TARGET, 'package.json'), '{ "type": "commonjs", "sideEffects": false }\n');

function write(path, text) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/** The entries, and what they import, and so on. */
function declarationsFrom(entries) {
  const reached = new Set();
  const visit = (path) => {
    if (reached.has(path)) return;
    reached.add(path);
    const { importedFiles } = ts.preProcessFile(readFileSync(path, 'utf8'));
    const own = importedFiles.filter(({ fileName }) => fileName.startsWith('.'));
    for (const { fileName } of own) visit(join(dirname(path), fileName.replace(/\.js$/, '.d.ts')));
  };
  for (const entry of entries) visit(join(entry));
  return reached;
}

function parse(code) {
  return ts.createSourceFile('module.js', code, ts.ScriptTarget.ESNext, true, ts.ScriptKind.JS);
}

function withoutDocumentation(code) {
  const blocks = new Map();
  const visit = (node) => {
    for (const { pos, end } of ts.getLeadingCommentRanges(code, node.pos) ?? []) {
      if (code.startsWith('/**', pos)) blocks.set(pos, /\n[ \t]*$/.test(code.slice(0, pos)) ? end + 1 : end);
    }
    ts.forEachChild(node, visit);
  };
  visit(parse(code));
  let left = '';
  let from = 0;
  for (const [pos, end] of [...blocks].toSorted(([a], [b]) => a - b)) {
    left += code.slice(from, pos).replace(/[ \t]+$/, '');
    from = end;
  }
  return left + code.slice(from);
}

/** The statements that name other modules or are named by them, in the other spelling; everything else is left as it is. */
function asCommonJs(code) {
  const file = parse(code);
  const edits = file.statements.flatMap((statement) => {
    if (ts.isImportDeclaration(statement)) return [replaced(statement, required(statement))];
    if (ts.isExportDeclaration(statement)) return [replaced(statement, exported(statement))];
    const modifier = statement.modifiers?.find(({ kind }) => kind === ts.SyntaxKind.ExportKeyword);
    if (!modifier) return [];
    const assignments = (statement.declarationList?.declarations ?? [statement])
      .flatMap(({ name }) => namesIn(name))
      .map((name) => `\nexports.${name} = ${name};`);
    return [
      { pos: modifier.getStart(), end: modifier.end + 1, text: '' },
      { pos: statement.end, end: statement.end, text: assignments.join('') },
    ];
  });
  const visit = (node) => {
    if (ts.isMetaProperty(node)) edits.push(replaced(node.parent, '__filename'));
    if (node.kind === ts.SyntaxKind.ImportKeyword && ts.isCallExpression(node.parent)) {
      const [name] = node.parent.arguments;
      // It throws where `import` rejects, which is the same in an async function; and a bundler sees the `try` around it.
      edits.push(replaced(node.parent, `Promise.resolve(require(${name.getText()}))`));
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  let body = code;
  for (const { pos, end, text } of edits.toSorted((a, b) => b.pos - a.pos))
    body = body.slice(0, pos) + text + body.slice(end);
  return `"use strict";\nObject.defineProperty(exports, "__esModule", { value: true });\n${body}`;
}

function replaced(node, text) {
  return { pos: node.getStart(), end: node.end, text };
}

/** Of `a`, and of `{ a, b: c }`. */
function namesIn(name) {
  return ts.isIdentifier(name) ? [name.text] : name.elements.flatMap((element) => namesIn(element.name));
}

function required({ importClause, moduleSpecifier }) {
  const module = `require(${moduleSpecifier.getText()})`;
  const { name, namedBindings } = importClause;
  // The default of a CommonJS module is its exports.
  if (name && !namedBindings) return `const ${name.text} = ${module};`;
  if (name || !ts.isNamedImports(namedBindings)) throw new Error(`Not known how to require: ${importClause.getText()}`);
  return `const ${namedBindings.getText().replaceAll(' as ', ': ')} = ${module};`;
}

function exported({ exportClause, moduleSpecifier }) {
  if (!exportClause) throw new Error('export * is not known here');
  return exportClause.elements
    .map(({ name, propertyName = name }) =>
      moduleSpecifier
        ? `exports.${name.text} = require(${moduleSpecifier.getText()}).${propertyName.text};`
        : `exports.${name.text} = ${propertyName.text};`,
    )
    .join('\n');
}
