import { NestFactory } from '@nestjs/core';
import { PostgresUserDirectory } from 'nestjs-latchkey';
import { AppModule } from '../app/app.module.js';

const app = await NestFactory.create(AppModule, { logger: ['error'] });
await app.listen(0, '127.0.0.1');
const { port } = app.getHttpServer().address() as { port: number };
process.on('message', ({ email, password }: { email: string; password: string }) => {
  void app
    .get(PostgresUserDirectory)
    .create(email, password)
    .then((user) => process.send!(user));
});
process.once('SIGTERM', () => void app.close().then(() => process.exit(0)));
process.send!({ url: `http://127.0.0.1:${port}` });
