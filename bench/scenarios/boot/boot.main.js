// One boot in a fresh process, without our TypeScript loader: `node boot.main.js <database url> [our built index]`
const [url, index] = process.argv.slice(2);

const began = performance.now();
await import('reflect-metadata');
const { Module } = await import('@nestjs/common');
const { NestFactory } = await import('@nestjs/core');
const { TypeOrmModule } = await import('@nestjs/typeorm');
for (const lazy of ['@nestjs/platform-express', 'pg']) await import(lazy);
const librariesAt = performance.now();
const ours = index === undefined ? null : await import(index);
const importedAt = performance.now();

class BootModule {}
Module({
  imports: [
    TypeOrmModule.forRoot({ type: 'postgres', url, entities: ours?.authEntities ?? [], retryAttempts: 0 }),
    ...(ours
      ? [ours.AuthModule.forRoot({ secrets: ['the benchmark protects nothing: 0123456789'], routes: { path: 'auth' } })]
      : []),
  ],
})(BootModule);
const app = await NestFactory.create(BootModule, { logger: ['error'] });
await app.init();
const bootedAt = performance.now();

const times = { libraries: librariesAt - began, ours: importedAt - librariesAt, boot: bootedAt - importedAt };
process.stdout.write(JSON.stringify(times));
await app.close();
