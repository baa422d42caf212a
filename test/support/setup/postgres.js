// Plain JavaScript, so that Jest leaves it to Node; the import goes through our loader, which knows TypeScript.
import '../register.js';

export default async () => (await import('../test-server.ts')).startTestServer();
