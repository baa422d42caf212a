import { Injectable, Optional, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { InvalidationChannel } from '../invalidation/invalidation-channel.js';
import { Outbox } from '../mail/outbox.js';
import { AuthMetrics } from './auth-metrics.js';
import { MemorySessionCache } from '../session/cache/memory-session-cache.js';
import { SessionCache } from '../session/cache/session-cache.js';

/** Gauges of this process's memory, read when metrics are collected. */
@Injectable()
export class SessionGauges implements OnModuleInit, OnApplicationShutdown {
  private readonly stops: (() => void)[] = [];

  constructor(
    private readonly metrics: AuthMetrics,
    private readonly channel: InvalidationChannel,
    private readonly cache: SessionCache,
    @Optional() private readonly outbox?: Outbox,
  ) {}

  onModuleInit(): void {
    const { metrics, channel, cache, outbox } = this;
    if (outbox) this.stops.push(metrics.observe('latchkey.mail.waiting', () => outbox.state.waiting));
    this.stops.push(metrics.observe('latchkey.invalidation.current', () => Number(channel.isCurrent)));
    if (!(cache instanceof MemorySessionCache)) return;
    this.stops.push(metrics.observe('latchkey.cache.size', () => cache.size.sessions));
  }

  onApplicationShutdown(): void {
    for (const stop of this.stops) stop();
  }
}
