import { Logger } from '@nestjs/common';

/**
 * For a store that accepts no writes for a while: sessions stay as valid as they are, and a later request extends them.
 */
export class ReadOnlyWarning {
  private readonly logger = new Logger('Auth');
  private isReadOnly = false;

  constructor(private readonly storeName: string) {}

  /** Warns once, until `wrote` is called. */
  refused(): void {
    if (!this.isReadOnly) {
      this.logger.warn(
        `${this.storeName} is read-only, so sessions are not extended. Is it failing over, or a replica?`,
      );
    }
    this.isReadOnly = true;
  }

  wrote(): void {
    this.isReadOnly = false;
  }
}
