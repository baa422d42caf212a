import type { ProviderDefinition } from '../config/oidc-settings.js';

/** What the configured providers are called. */
export class ProviderLabels {
  private readonly labels: ReadonlyMap<string, string>;

  constructor(providers: readonly Pick<ProviderDefinition, 'id' | 'label'>[] = []) {
    this.labels = new Map(providers.map(({ id, label }) => [id, label ?? id]));
  }

  /** Whether there is such a provider. */
  has(provider: string): boolean {
    return this.labels.has(provider);
  }

  /** Of one that is not configured any more: its id. */
  of(provider: string): string {
    return this.labels.get(provider) ?? provider;
  }
}
