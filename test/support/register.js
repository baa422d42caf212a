// Lets plain `node` run our TypeScript with decorator metadata: the demo, the TypeORM CLI and the test's child processes.
import { register } from 'node:module';

process.env.SWC_NODE_PROJECT ??= new URL('../../tsconfig.json', import.meta.url).pathname;
register('@swc-node/register/esm', import.meta.url);
