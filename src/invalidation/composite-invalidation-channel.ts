import type { OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import { InvalidationChannel } from './invalidation-channel.js';
import type { InvalidationKind } from './invalidation-digest.js';
import type { Invalidation } from './invalidation.js';
import type { RemoteInvalidationChannel } from './remote-invalidation-channel.js';

/**
 * Combines two channels; current only while both are. `publish` uses the first, and the digests of the first are used
 * by both.
 */
export class CompositeInvalidationChannel extends InvalidationChannel implements OnModuleInit, OnApplicationShutdown {
  constructor(
    private readonly first: RemoteInvalidationChannel,
    private readonly second: RemoteInvalidationChannel,
  ) {
    super();
    for (const channel of [first, second]) channel.subscribe((hint) => this.tell(hint));
  }

  override get mayLoseMessages(): boolean {
    return this.first.mayLoseMessages || this.second.mayLoseMessages;
  }

  override get isCurrent(): boolean {
    return this.first.isCurrent && this.second.isCurrent;
  }

  override digest(kind: InvalidationKind, id: string): string {
    return this.first.digest(kind, id);
  }

  override publish(invalidation: Invalidation): Promise<void> {
    return this.first.publish(invalidation);
  }

  async onModuleInit(): Promise<void> {
    await Promise.all([this.first.onModuleInit(), this.second.onModuleInit()]);
  }

  onApplicationShutdown(): void {
    this.first.onApplicationShutdown();
    this.second.onApplicationShutdown();
  }
}
