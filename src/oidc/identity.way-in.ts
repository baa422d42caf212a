import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock.js';
import { AuthConfig } from '../config/auth-config.js';
import { hasStepUp } from '../config/oidc-settings.js';
import { AuthEvents } from '../events/auth-events.js';
import { WayIn, type AddedSince, type StepUpWay } from '../login/ways-in.js';
import { OwnerNotices } from '../mail/owner-notices.js';
import type { AuthUser } from '../user/user.directory.js';
import { IdentityStore } from './identity.store.js';
import { ProviderLabels } from './provider-labels.js';

/** The login at a provider. */
@Injectable()
export class IdentityWayIn extends WayIn {
  private readonly labels: ProviderLabels;
  /** Those at which users can prove again who they are. */
  private readonly provable: readonly string[];

  constructor(
    private readonly identities: IdentityStore,
    private readonly notices: OwnerNotices,
    private readonly events: AuthEvents,
    private readonly clock: Clock,
    { flows }: AuthConfig,
  ) {
    super();
    const providers = flows.oidc?.providers ?? [];
    this.labels = new ProviderLabels(providers);
    this.provable = providers.filter(hasStepUp).map(({ id }) => id);
  }

  /** By an identity whose provider the configuration still has. */
  override async isOpenTo({ id: userId }: AuthUser, without: string): Promise<boolean> {
    const own = await this.identities.listByUser(userId);
    return own.some(({ id, provider }) => id !== without && this.labels.has(provider));
  }

  override async stepUpWay(userId: string): Promise<StepUpWay | null> {
    const own = new Set((await this.identities.listByUser(userId)).map(({ provider }) => provider));
    const providers = this.provable.filter((provider) => own.has(provider));
    return providers.length > 0 ? { method: 'oidc', providers } : null;
  }

  override async removeSince(user: AuthUser, added: AddedSince): Promise<void> {
    // One that is being linked has been linked then, or is not yet.
    await this.identities.lockWaysIn(user.id);
    for (const provider of await this.identities.removeSince(user, added)) {
      this.notices.tell(user, 'identity_unlinked', { provider: this.labels.of(provider) });
      const at = this.clock.now();
      this.events.emitAfterTransaction({ type: 'identity.unlinked', at, userId: user.id, provider, ip: null });
    }
  }
}
