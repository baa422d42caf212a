import { ENTRIES, SWC_OPTIONS } from './test/support/typescript.js';

const project = (displayName, testMatch, settings = {}) => ({
  displayName,
  testMatch: testMatch.map((pattern) => `<rootDir>/${pattern}`),
  roots: ['<rootDir>/src', '<rootDir>/test'],
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: {
    ...Object.fromEntries(Object.entries(ENTRIES).map(([name, file]) => [`^${name}$`, `<rootDir>/${file}`])),
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
  transform: { '^.+\\.ts$': ['@swc/jest', SWC_OPTIONS] },
  ...settings,
});

/** What a project needs to run. Jest starts each set-up once for all projects that name it, and none that nothing needs. */
const withServers = (name) => ({
  globalSetup: `<rootDir>/test/support/setup/${name}.js`,
  globalTeardown: `<rootDir>/test/support/setup/teardown.js`,
});
const POSTGRES = withServers('postgres');
const POSTGRES_AND_REDIS = withServers('postgres-and-redis');

/** Again, with many times as many inputs and races. */
const REPEATED = [
  'src/jwt/jwt-codec.service.spec.ts',
  'src/crypto/timed-serializer.spec.ts',
  'src/session/{signed-tokens,signed-cookie.codec}.spec.ts',
  'test/integration/{cleanup.service,interleavings,postgres-session.store,own-user-ids-session.store}.spec.ts',
];

const E2E = 'test/e2e/**/*.spec.ts';
/** What a cluster does differently is in the stores, whose contracts are run on one: of these, what uses them most. */
const ON_A_CLUSTER = [
  'test/e2e/flows/*.spec.ts',
  'test/e2e/{auth-routes,login-limits,many-instances,outage,rotation,second-factor,session-jwt}.spec.ts',
];

/** @type {import('jest').Config} */
export default {
  projects: [
    // `npm test`: these two.
    project('unit', ['src/**/*.spec.ts', 'test/*.spec.ts', 'test/support/**/*.spec.ts']),
    project('plain', [E2E, 'test/http/*.spec.ts', 'test/integration/**/!(redis-)*.spec.ts'], POSTGRES),
    // `npm run test:all`: also these.
    project('tools', ['test/tools/*.spec.ts'], POSTGRES),
    project('long', ['test/long/*.spec.ts', ...REPEATED], { ...POSTGRES, globals: { LATCHKEY_LONG: true } }),
    project('faults', ['test/faults/*.spec.ts'], POSTGRES),
    project('pooler', ['test/pooler/*.spec.ts'], POSTGRES),
    // The same tests again with reads from memory, but for the one that has caches of its own: nothing but the speed may change.
    project('cached', [E2E, 'test/integration/{session/*,interleavings}.spec.ts'], {
      ...POSTGRES,
      testPathIgnorePatterns: ['many-instances'],
      globals: { LATCHKEY_VARIANT: 'cached' },
    }),
    // In a real browser: Debian's Chromium.
    project('browser', ['test/browser/*.spec.ts'], POSTGRES),
    project('redis', ['test/integration/redis-*.spec.ts'], { ...POSTGRES_AND_REDIS, globals: { LATCHKEY_LONG: true } }),
    // And on Redis: one line of the module's options, and nothing else moves.
    project('e2e-redis', [E2E], { ...POSTGRES_AND_REDIS, globals: { LATCHKEY_VARIANT: 'redis' } }),
    project('e2e-redis-cluster', ON_A_CLUSTER, {
      ...POSTGRES_AND_REDIS,
      globals: { LATCHKEY_VARIANT: 'redis-cluster' },
    }),
  ],
  testTimeout: 30_000,
  // What a test file loads stays in its worker: 3 GB after all of them.
  workerIdleMemoryLimit: '500MB',
};
