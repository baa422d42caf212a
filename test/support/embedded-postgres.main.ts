import { startEmbeddedPostgres } from 'nestjs-latchkey/testing';

const { pid, dataDirectory } = await startEmbeddedPostgres();
process.send!({ pid, dataDirectory });
