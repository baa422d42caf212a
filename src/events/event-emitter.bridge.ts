import { Injectable, type OnModuleInit } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { AuthEvents } from './auth-events.js';

interface Emitter {
  emit(name: string, event: unknown): unknown;
}

/**
 * Tells every event to the `EventEmitter2` of `@nestjs/event-emitter` too, as `auth.<type>` (`auth.session.revoked`),
 * where the host has its module. That package is not imported: the host's is found by the name of its class, so that it
 * may be missing, and may be any copy of it.
 */
@Injectable()
export class EventEmitterBridge implements OnModuleInit {
  constructor(
    private readonly modules: ModulesContainer,
    private readonly events: AuthEvents,
  ) {}

  onModuleInit(): void {
    const emitter = this.find();
    if (emitter) this.events.on((event) => void emitter.emit(`auth.${event.type}`, event));
  }

  private find(): Emitter | undefined {
    for (const { providers } of this.modules.values()) {
      for (const [token, { instance }] of providers) {
        const isMeant = typeof token === 'function' && token.name === 'EventEmitter2';
        if (isMeant && typeof (instance as Partial<Emitter> | null)?.emit === 'function') return instance as Emitter;
      }
    }
    return undefined;
  }
}
