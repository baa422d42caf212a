// Type checks the application and every declaration of the package, which `skipLibCheck` would skip, and nothing else:
// node check.cjs <folder of the compiler> <resolution>...
const [compiler, ...resolutions] = process.argv.slice(2);
const ts = require(compiler);

let problems = 0;
for (const resolution of resolutions) {
  const parsed = ts.getParsedCommandLineOfConfigFile(`tsconfig.${resolution}.json`, { noEmit: true }, ts.sys);
  const program = ts.createProgram(parsed.fileNames, parsed.options);
  const files = program.getSourceFiles();
  const declarations = files.filter(({ fileName }) => fileName.includes('/nestjs-latchkey/dist/'));
  if (declarations.length === 0) throw new Error('The package has not been found.');
  const own = files.filter(({ fileName }) => !fileName.includes('/node_modules/'));
  const found = [
    ...parsed.errors,
    ...program.getOptionsDiagnostics(),
    ...[...own, ...declarations].flatMap((file) => [
      ...program.getSyntacticDiagnostics(file),
      ...program.getSemanticDiagnostics(file),
    ]),
  ];
  problems += found.length;
  console.log(`TypeScript ${ts.version}, ${resolution}: ${declarations.length} declarations, ${found.length} problems`);
  console.log(ts.formatDiagnostics(found, ts.createCompilerHost({})));
}
process.exitCode = problems === 0 ? 0 : 1;
