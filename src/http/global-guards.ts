import { Injectable, type CanActivate, type OnModuleInit, type Type } from '@nestjs/common';
import { ModuleRef, type ApplicationConfig } from '@nestjs/core';
import { AuthError } from '../auth.errors.js';
import { OriginGuard } from './origin.guard.js';
import { SessionGuard } from './session.guard.js';

/**
 * Puts our guards in front of every other global guard. They are not `APP_GUARD`s because Nest runs those in the order
 * in which it met their modules, the application's own first: a guard of the application that needs the user would run
 * too early. Done while Nest instantiates providers, which is before it collects any `APP_GUARD`.
 */
@Injectable()
export class GlobalGuards {
  constructor(moduleRef: ModuleRef, origin: OriginGuard, session: SessionGuard) {
    applicationConfigOf(moduleRef).useGlobalGuards(origin, session);
  }
}

/**
 * Fails the boot with `INVALID_CONFIG` unless the guards of this module are global guards of the application: otherwise
 * nothing would be guarded. This happens when one of their dependencies is request-scoped, since Nest then creates no
 * instance at boot.
 */
@Injectable()
export class GlobalGuardsCheck implements OnModuleInit {
  // Private, since it leads to everything in the application, which does not belong in the output of an inspection.
  readonly #moduleRef: ModuleRef;

  constructor(moduleRef: ModuleRef) {
    this.#moduleRef = moduleRef;
  }

  onModuleInit(): void {
    const guards = applicationConfigOf(this.#moduleRef).getGlobalGuards();
    if ([OriginGuard, SessionGuard].every((guard) => guards.includes(this.instanceOf(guard)))) return;
    throw invalidConfig(
      'The guards of AuthModule do not run: something that they depend on is request-scoped, such as the UserDirectory ' +
        'or a provider that it injects. Give it the default scope.',
    );
  }

  /** The instance, or what a test has put in its place. Nest throws for a request-scoped one. */
  private instanceOf(guard: Type<CanActivate>): CanActivate {
    try {
      return this.#moduleRef.get(guard);
    } catch {
      return NOT_MADE;
    }
  }
}

const NOT_MADE: CanActivate = { canActivate: () => false };

/** Nest does not let the application's configuration be injected; every `ModuleRef` leads to it. */
function applicationConfigOf(moduleRef: ModuleRef): ApplicationConfig {
  const { container } = moduleRef as unknown as { container?: { applicationConfig?: ApplicationConfig } };
  if (container?.applicationConfig) return container.applicationConfig;
  throw invalidConfig(
    'This version of @nestjs/core is not supported: its ModuleRef does not lead to the ApplicationConfig.',
  );
}

function invalidConfig(mistake: string): AuthError {
  return new AuthError('INVALID_CONFIG', mistake, { mistakes: [mistake] });
}
