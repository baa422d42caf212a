import { Inject, Injectable, Logger, type InjectionToken } from '@nestjs/common';
import { ModuleRef, ModulesContainer } from '@nestjs/core';
import { STATIC_CONTEXT } from '@nestjs/core/injector/constants.js';
import type { DataSource } from 'typeorm';
import { AuthError } from '../auth.errors.js';
import { connectionFault } from './connection-fault.js';

/**
 * The application's DataSource, once it is connected.
 *
 * @throws {AuthError} `INVALID_CONFIG` if AuthModule sees none of this name.
 */
export async function hostDataSource(
  moduleRef: ModuleRef,
  token: InjectionToken,
  name: string | undefined,
): Promise<DataSource> {
  @Injectable()
  class Dependent {
    constructor(@Inject(token) readonly dataSource: DataSource) {}
  }
  try {
    return (await moduleRef.create(Dependent)).dataSource;
  } catch (error) {
    if ((error as Error | null)?.constructor.name !== 'UnknownDependenciesException') throw error;
    const mistake =
      name === undefined
        ? 'There is no DataSource: import TypeOrmModule.forRoot(…) beside AuthModule, or name yours by the option `dataSource`.'
        : `There is no DataSource '${name}', which the option \`dataSource\` names: give it to TypeOrmModule.forRoot({ name: ` +
          `'${name}', … }), or leave the option out for the one without a name.`;
    throw new AuthError('INVALID_CONFIG', mistake, { mistakes: [mistake] }, { cause: error });
  }
}

/**
 * Says what to do when the application's DataSource cannot be made. What ends the boot is the error of PostgreSQL's
 * client, which Nest throws before anything that depends on the DataSource runs.
 */
export function adviseOn(token: InjectionToken, modules: ModulesContainer): void {
  for (const { providers } of modules.values()) {
    void providers
      .get(token)
      ?.getInstanceByContextId(STATIC_CONTEXT)
      .donePromise?.then((error) => {
        const fault = connectionFault(error);
        if (fault)
          new Logger('AuthModule').error(
            `The database cannot be used${fault.code ? ` (${fault.code})` : ''}. ${fault.remedy}`,
          );
      });
  }
}
