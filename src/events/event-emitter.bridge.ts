import { Injectable, type OnModuleInit } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { AuthEvents } from './auth-events.js';

interface Emitter {
  emitAsync(name: string, event: unknown): Promise<unknown>;
}

/**
 * Also emits every event through `@nestjs/event-emitter`, as `auth.<type>` (`auth.session.revoked`), if the application
 * has that module. The package is not imported: the module is found by its name and the emitter by its methods, so that
 * it may be missing, or any copy of it.
 */
@Injectable()
export class EventEmitterBridge implements OnModuleInit {
  // Private, since they lead to everything in the application, which does not belong in the output of an inspection.
  readonly #modules: ModulesContainer;

  constructor(
    modules: ModulesContainer,
    private readonly events: AuthEvents,
  ) {
    this.#modules = modules;
  }

  onModuleInit(): void {
    const emitter = this.find();
    // Awaited, so that a rejecting listener is logged here: emit() would leave the rejection to end the process.
    if (emitter) this.events.on(async (event) => void (await emitter.emitAsync(`auth.${event.type}`, event)));
  }

  private find(): Emitter | undefined {
    for (const { metatype, providers } of this.#modules.values()) {
      if (metatype.name !== 'EventEmitterModule') continue;
      for (const { instance } of providers.values()) if (isEmitter(instance)) return instance;
    }
    return undefined;
  }
}

function isEmitter(value: unknown): value is Emitter {
  const { emit, emitAsync } = (value ?? {}) as Record<string, unknown>;
  return typeof emit === 'function' && typeof emitAsync === 'function';
}
