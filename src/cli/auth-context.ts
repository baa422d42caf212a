import { randomBytes } from 'node:crypto';
import { Injectable, Module, type INestApplicationContext, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { UUID } from '../common/uuid.js';
import { AuthModule } from '../auth.module.js';
import { UserDirectory, type AuthUser } from '../user/user.directory.js';
import type { Values } from './command.js';
import { withDatabase } from './database.js';
import { hostConfiguration } from './host.js';
import type { UserIdType } from '../schema/user-id-type.js';
import { givenUserId, schemaOptions } from './user-id.js';

/** Stands in for users kept elsewhere: any text that can be an id is taken for one. */
function idsOf(type: UserIdType): Type<UserDirectory> {
  @Injectable()
  class IdsOnly extends UserDirectory {
    override async findById(id: string): Promise<AuthUser | null> {
      return ID[type].test(id) ? { id, email: '' } : null;
    }
    override async findByLogin(): Promise<null> {
      return null;
    }
    override async verifyCredentials(): Promise<null> {
      return null;
    }
  }
  return IdsOnly;
}

/**
 * Whether the text can be an id of this type. One with an @ is an e-mail address, which only the application's
 * directory can resolve.
 */
const ID: Readonly<Record<UserIdType, RegExp>> = {
  uuid: UUID,
  integer: /^-?\d{1,10}$/,
  bigint: /^-?\d{1,19}$/,
  text: /^[^@]+$/,
};

@Module({})
class CommandModule {}

/**
 * The module's own services, in an application without a server, so that their changes are published as usual. The
 * configuration is that of `--config`, otherwise the defaults with a secret that signs nothing.
 */
export async function withAuth<T>(values: Values, work: (auth: INestApplicationContext) => Promise<T>): Promise<T> {
  givenUserId(values);
  const host = await hostConfiguration(values);
  const options = host?.options ?? { secrets: [randomBytes(48).toString('base64url')] };
  return withDatabase(values, async (source) => {
    let auth: INestApplicationContext | undefined;
    try {
      const { userId } = await schemaOptions(values, host, (sql, parameters) => source.query(sql, parameters));
      auth = await NestFactory.createApplicationContext(
        {
          module: CommandModule,
          imports: [
            TypeOrmModule.forRootAsync({ useFactory: () => source.options, dataSourceFactory: async () => source }),
            AuthModule.forRoot({
              ...host?.extras,
              ...options,
              cleanup: { ...options.cleanup, enabled: false },
              users: host?.extras.users ?? (userId && idsOf(userId)),
              dataSource: undefined,
              globalGuard: false,
              // No command sends mail, and a mailer may want to be connected.
              mailer: undefined,
              mail: undefined,
              // Those that mail cannot be without a mailer, and no command uses one.
              flows: undefined,
            }),
          ],
        },
        { logger: false, abortOnError: false },
      );
      return await work(auth);
    } finally {
      await auth?.close();
    }
  });
}
