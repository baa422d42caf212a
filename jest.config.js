import { spawnSync } from 'node:child_process';

// Where it is missing the run says so, and CI fails: see test/support/redis-server.ts.
const hasRedis = spawnSync('redis-server', ['--version']).status === 0;

const project = {
  roots: ['<rootDir>/src', '<rootDir>/test'],
  testMatch: ['**/*.spec.ts'],
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: {
    '^nestjs-latchkey$': '<rootDir>/src/index.ts',
    '^nestjs-latchkey/engine$': '<rootDir>/src/engine.ts',
    '^nestjs-latchkey/redis$': '<rootDir>/src/engines/redis/index.ts',
    '^nestjs-latchkey/testing$': '<rootDir>/src/testing/index.ts',
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
          target: 'es2022',
          keepClassNames: true,
        },
        module: { type: 'es6' },
      },
    ],
  },
};

/** @type {import('jest').Config} */
export default {
  projects: [
    {
      ...project,
      displayName: 'latchkey',
      ...(hasRedis ? {} : { testPathIgnorePatterns: ['/integration/redis-[^/]*[.]spec[.]ts$'] }),
    },
    // The same tests again with reads from memory: nothing but the speed may change.
    {
      ...project,
      displayName: 'cached',
      testMatch: [
        '<rootDir>/test/e2e/**/*.spec.ts',
        '<rootDir>/test/integration/{session.service,interleavings}.spec.ts',
      ],
      // It has caches of its own.
      testPathIgnorePatterns: ['many-instances'],
      globals: { LATCHKEY_VARIANT: 'cached' },
    },
    // And on Redis: one line of the module's options, and nothing else moves.
    ...(hasRedis ? ['redis', 'redis-cluster'] : []).map((variant) => ({
      ...project,
      displayName: variant,
      testMatch: ['<rootDir>/test/e2e/**/*.spec.ts'],
      globals: { LATCHKEY_VARIANT: variant },
    })),
  ],
  globalSetup: '<rootDir>/test/support/global-setup.js',
  globalTeardown: '<rootDir>/test/support/global-teardown.js',
  maxWorkers: 2,
  testTimeout: 30_000,
};
