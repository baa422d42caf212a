import { randomBytes } from 'node:crypto';
import { Injectable, Module, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AuthModule } from '../auth.module.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';
import type { Values } from './command.js';
import { openDatabase } from './database.js';
import { hostConfiguration } from './host.js';
import { userIdType } from './user-id.js';

/** Users that are elsewhere: here an id is taken for what it is. */
@Injectable()
class IdsOnly extends UserDirectory {
  override async findById(id: string): Promise<AuthUser> {
    return { id, email: '' };
  }
  override async findByLogin(): Promise<null> {
    return null;
  }
  override async verifyCredentials(): Promise<null> {
    return null;
  }
}

@Module({})
class CommandModule {}

/**
 * The module's own services, in an application without a server: what they change is published as usual. The
 * configuration is that of `--config`, else the defaults with a secret that signs nothing.
 */
export async function withAuth<T>(values: Values, work: (auth: INestApplicationContext) => Promise<T>): Promise<T> {
  const users = userIdType(values) === undefined ? undefined : IdsOnly;
  const host = await hostConfiguration(values);
  const options = host?.options ?? { secrets: [randomBytes(48).toString('base64url')] };
  const source = await openDatabase(values);
  let auth: INestApplicationContext | undefined;
  try {
    auth = await NestFactory.createApplicationContext(
      {
        module: CommandModule,
        imports: [
          TypeOrmModule.forRootAsync({ useFactory: () => source.options, dataSourceFactory: async () => source }),
          AuthModule.forRoot({
            ...host?.extras,
            ...options,
            cleanup: { ...options.cleanup, enabled: false },
            users: host?.extras.users ?? users,
            dataSource: undefined,
            globalGuard: false,
          }),
        ],
      },
      { logger: false, abortOnError: false },
    );
    return await work(auth);
  } finally {
    await auth?.close();
    if (source.isInitialized) await source.destroy();
  }
}
