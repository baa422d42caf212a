import { Injectable, Logger, type BeforeApplicationShutdown } from '@nestjs/common';

/** Work that goes on after the answer: a failure is logged, and a shutdown waits for what is under way. */
@Injectable()
export class Background implements BeforeApplicationShutdown {
  private readonly logger = new Logger('Background');
  private readonly running = new Set<Promise<void>>();

  run(work: () => Promise<void>): void {
    const done = work()
      .catch((error: unknown) => this.logger.error(error))
      .finally(() => this.running.delete(done));
    this.running.add(done);
  }

  async idle(): Promise<void> {
    while (this.running.size > 0) await Promise.all(this.running);
  }

  beforeApplicationShutdown(): Promise<void> {
    return this.idle();
  }
}
