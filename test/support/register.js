// Lets plain `node` run our TypeScript with decorator metadata: the demo, the TypeORM CLI and the test's child processes.
import { register } from 'node:module';
import { fileURLToPath } from 'node:url';

process.env.SWC_NODE_PROJECT ??= fileURLToPath(new URL('../../tsconfig.json', import.meta.url));
register('@swc-node/register/esm', import.meta.url);
