import { type Provider, type Type } from '@nestjs/common';
import { AdminService } from './admin/admin.service.js';
import { ApiKeyAccess } from './api-key/api-key-access.js';
import { ApiKeyService } from './api-key/api-key.service.js';
import { PostgresAccountData } from './engines/postgres/postgres-account-data.js';
import { PostgresEmailFactorStore } from './engines/postgres/postgres-email-factor.store.js';
import { PostgresIdentityStore } from './engines/postgres/postgres-identity.store.js';
import { PostgresPasskeyStore } from './engines/postgres/postgres-passkey.store.js';
import { PostgresBackupCodeStore } from './engines/postgres/postgres-backup-code.store.js';
import { PostgresTotpStore } from './engines/postgres/postgres-totp.store.js';
import { ApiKeyAuthenticator } from './http/api-key-authenticator.js';
import type { GrantedAccess } from './login/mailbox-proofs.js';
import { NewIdentities } from './login/new-identities.js';
import { ProviderSessions } from './login/provider-sessions.js';
import type { SecondFactor } from './login/second-factor.js';
import type { WayIn } from './login/ways-in.js';
import { IdentitySessions } from './oidc/identity-sessions.js';
import { IdentityService } from './oidc/identity.service.js';
import { IdentityStore } from './oidc/identity.store.js';
import { IdentityWayIn } from './oidc/identity.way-in.js';
import { KeptIdentities } from './oidc/kept-identities.js';
import { OidcAccounts } from './oidc/oidc-accounts.js';
import { OidcClient } from './oidc/oidc-client.js';
import { OidcLogoutService } from './oidc/oidc-logout.service.js';
import { OidcRequests } from './oidc/oidc-requests.js';
import { OidcService } from './oidc/oidc.service.js';
import { PasskeyAssertions } from './passkey/passkey-assertions.js';
import { PasskeyFactor } from './passkey/passkey.factor.js';
import { PasskeyLoginService } from './passkey/passkey-login.service.js';
import { PasskeyService } from './passkey/passkey.service.js';
import { PasskeyStore } from './passkey/passkey.store.js';
import { PasskeyWayIn } from './passkey/passkey.way-in.js';
import { WebAuthn } from './passkey/webauthn.js';
import { PasswordResetService } from './password/password-reset.service.js';
import { MagicLinkService } from './magic-link/magic-link.service.js';
import { MagicLinkWayIn } from './magic-link/magic-link.way-in.js';
import { RegistrationService } from './registration/registration.service.js';
import { Clock, SystemClock } from './common/clock.js';
import { AuthConfig } from './config/auth-config.js';
import { FLOW_PACKAGES, type CheckedFlows, type FlowName } from './config/flow-settings.js';
import { AccountDeletionService } from './account-deletion/account-deletion.service.js';
import { EmailChangeService } from './email-change/email-change.service.js';
import { OidcCallbackFilter } from './http/oidc-callback.filter.js';
import { OidcEnds } from './http/oidc-ends.js';
import { OidcUnfinished } from './http/oidc-unfinished.js';
import { OidcRedirects } from './http/oidc-redirects.js';
import { StepUpService } from './step-up/step-up.service.js';
import { BackupCodeFactor } from './two-factor/backup-code.factor.js';
import { BackupCodeStore } from './two-factor/backup-code.store.js';
import { TotpFactor } from './two-factor/totp.factor.js';
import { TotpStore } from './two-factor/totp.store.js';
import { EmailCodeFactor } from './two-factor/email-code.factor.js';
import { EmailCodeService } from './two-factor/email-code.service.js';
import { EmailFactorStore } from './two-factor/email-factor.store.js';
import { MailedCodes } from './two-factor/mailed-codes.js';
import { TotpSetups } from './two-factor/totp-setups.js';
import { TwoFactorService } from './two-factor/two-factor.service.js';
import { AccountData } from './user/account-data.js';

/** What a flow needs beside what there is anyway. */
export const FLOW_SERVICES: Readonly<Record<FlowName, readonly Provider[]>> = {
  registration: [RegistrationService],
  passwordReset: [PasswordResetService],
  passwordChange: [],
  emailChange: [EmailChangeService],
  accountDeletion: [{ provide: AccountData, useClass: PostgresAccountData }, AccountDeletionService],
  stepUp: [StepUpService],
  apiKeys: [ApiKeyService, ApiKeyAuthenticator, ApiKeyAccess],
  magicLink: [MagicLinkService],
  pages: [],
  admin: [AdminService],
  passkeys: [
    // After the configuration has found it.
    { provide: WebAuthn, useFactory: () => WebAuthn.load(), inject: [AuthConfig] },
    { provide: PasskeyStore, useClass: PostgresPasskeyStore },
    PasskeyAssertions,
    PasskeyService,
    PasskeyLoginService,
  ],
  oidc: [
    // After the configuration has found it.
    {
      provide: OidcClient,
      useFactory: (_: AuthConfig, clock: Clock) => OidcClient.load(clock),
      inject: [AuthConfig, Clock],
    },
    { provide: IdentityStore, useClass: PostgresIdentityStore },
    { provide: ProviderSessions, useClass: IdentitySessions },
    IdentityService,
    OidcLogoutService,
    OidcRequests,
    OidcAccounts,
    { provide: NewIdentities, useExisting: OidcAccounts },
    OidcService,
    KeptIdentities,
    OidcRedirects,
    OidcEnds,
    OidcUnfinished,
    OidcCallbackFilter,
  ],
  twoFactor: [
    { provide: TotpStore, useClass: PostgresTotpStore },
    { provide: BackupCodeStore, useClass: PostgresBackupCodeStore },
    TotpSetups,
    TwoFactorService,
    MailedCodes,
    EmailCodeService,
    { provide: EmailFactorStore, useClass: PostgresEmailFactorStore },
  ],
};

/** What a flow grants beside sessions and factors, which ends when somebody takes the account over: see `MailboxProofs`. */
export const FLOW_ACCESS: Readonly<Partial<Record<FlowName, readonly Type<GrantedAccess>[]>>> = {
  apiKeys: [ApiKeyAccess],
};

/** A second factor that a flow brings, and whether the settings have it. */
interface FlowFactor {
  readonly factor: Type<SecondFactor>;
  readonly isOn: (flows: CheckedFlows) => boolean;
}

/** In the order in which users are asked for them. */
export const FLOW_FACTORS: Readonly<Partial<Record<FlowName, readonly FlowFactor[]>>> = {
  twoFactor: [
    { factor: TotpFactor, isOn: ({ twoFactor }) => twoFactor?.totp !== undefined },
    { factor: EmailCodeFactor, isOn: ({ twoFactor }) => twoFactor?.emailCode !== undefined },
    { factor: BackupCodeFactor, isOn: ({ twoFactor }) => twoFactor?.backupCodes !== undefined },
  ],
  passkeys: [{ factor: PasskeyFactor, isOn: ({ passkeys }) => passkeys !== undefined }],
};

/** The ways in which a flow lets users log in. */
export const FLOW_WAYS_IN: Readonly<Partial<Record<FlowName, readonly Type<WayIn>[]>>> = {
  passkeys: [PasskeyWayIn],
  oidc: [IdentityWayIn],
  magicLink: [MagicLinkWayIn],
};

/** The optional packages that these flows are built on and that are not installed. */
export async function missingPackages(flows: readonly FlowName[]): Promise<string[]> {
  const needed = flows.flatMap((flow) => FLOW_PACKAGES[flow] ?? []);
  const found = await Promise.all(needed.map((name) => PACKAGES[name]!()));
  return needed.filter((_, i) => !found[i]);
}

/** How to find out whether each is there. */
const PACKAGES: Readonly<Record<string, () => Promise<unknown>>> = {
  '@simplewebauthn/server': () => WebAuthn.load(),
  'openid-client': () => OidcClient.load(new SystemClock()),
};
