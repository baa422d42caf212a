/** How the tests, the demo, the TypeORM CLI and the benchmarks compile TypeScript: swc, with decorator metadata. */
export const SWC_OPTIONS = {
  jsc: {
    parser: { syntax: 'typescript', decorators: true },
    transform: { legacyDecorator: true, decoratorMetadata: true },
    target: 'es2022',
    keepClassNames: true,
  },
  module: { type: 'es6' },
};

/** The entries of the package, as the sources import them in tests. */
export const ENTRIES = {
  'nestjs-latchkey': 'src/index.ts',
  'nestjs-latchkey/engine': 'src/engine.ts',
  'nestjs-latchkey/flows': 'src/flows.ts',
  'nestjs-latchkey/openapi': 'src/openapi/index.ts',
  'nestjs-latchkey/providers': 'src/oidc/providers/index.ts',
  'nestjs-latchkey/redis': 'src/engines/redis/index.ts',
  'nestjs-latchkey/testing': 'src/testing/index.ts',
};
