// Lets plain `node` run our TypeScript with decorator metadata: the demo, the TypeORM CLI and the test's child processes.
import { register } from 'node:module';

register('./loader.js', import.meta.url);
