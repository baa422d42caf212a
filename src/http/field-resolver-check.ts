import { Injectable, type OnModuleInit } from '@nestjs/common';
import { MetadataScanner, ModulesContainer } from '@nestjs/core';
import { AuthError } from '../auth.errors.js';
import { takesApiKeys } from './api-key.decorators.js';
import { AccessMetadata } from './auth.decorators.js';
import { RATE_LIMITS } from './rate-limit.rule.js';
import { REQUIREMENTS } from './requirement.js';

/** What @nestjs/graphql calls its options, and its metadata of a `@ResolveField()`. */
const GRAPHQL_OPTIONS = 'GqlModuleOptions';
const RESOLVES_FIELD = 'graphql:resolve_property';

/**
 * Fails the boot with `INVALID_CONFIG` if a `@ResolveField()` has `@Authenticated()`, `@RequireRole()`,
 * `@RequireFresh()`, `@RequireAal()`, `@RequireAmr()`, `@AllowApiKey()` or `@RateLimit()` and Nest would ignore it: guards run for fields only with `fieldResolverEnhancers: ['guards']`.
 */
@Injectable()
export class FieldResolverCheck implements OnModuleInit {
  // Private, since they lead to everything in the application, which does not belong in the output of an inspection.
  readonly #modules: ModulesContainer;

  constructor(modules: ModulesContainer) {
    this.#modules = modules;
  }

  onModuleInit(): void {
    const providers = [...this.#modules.values()].flatMap((module) => [...module.providers.values()]);
    const areGuarded = providers
      .filter(({ token }) => token === GRAPHQL_OPTIONS)
      .every(({ instance }) => {
        const { fieldResolverEnhancers } = Object(instance) as { fieldResolverEnhancers?: unknown };
        return Array.isArray(fieldResolverEnhancers) && fieldResolverEnhancers.includes('guards');
      });
    if (areGuarded) return;
    const mistakes = [...new Set(providers.map(({ metatype }) => metatype))].flatMap(ignoredDecorators);
    if (mistakes.length > 0) throw new AuthError('INVALID_CONFIG', mistakes.join('\n'), { mistakes });
  }
}

const scanner = new MetadataScanner();

function ignoredDecorators(type: unknown): string[] {
  const prototype = typeof type === 'function' ? (type.prototype as Record<string, object> | undefined) : undefined;
  if (!prototype) return [];
  return scanner
    .getAllMethodNames(prototype)
    .filter((name) => {
      const method = prototype[name]!;
      if (Reflect.getMetadata(RESOLVES_FIELD, method) !== true) return false;
      return (
        Reflect.getMetadata(AccessMetadata.KEY, method) === 'required' ||
        takesApiKeys(method) ||
        [RATE_LIMITS, REQUIREMENTS].some((key) => Reflect.hasMetadata(key, method))
      );
    })
    .map(
      (name) =>
        `${(type as { name: string }).name}.${name} is the resolver of a field, for which Nest runs no guards: add ` +
        "fieldResolverEnhancers: ['guards'] to the options of GraphQLModule, or its @Authenticated(), @Require…(), @AllowApiKey() and @RateLimit() have no " +
        'effect.',
    );
}
