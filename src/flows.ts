/**
 * The services behind the routes of the flows, for an application that calls them itself, and what its handlers and
 * second factors are made of. A service can be injected where `flows` names its flow.
 */
export { AccountDeletionService } from './account-deletion/account-deletion.service.js';

export { AdminService } from './admin/admin.service.js';
export type { Admin } from './admin/admin.service.js';

export type { ApiKey, AuthenticatedApiKey } from './api-key/api-key.js';
export { ApiKeyService } from './api-key/api-key.service.js';
export type { ApiKeyContext, ApiKeyRequest, IssuedApiKey, NewApiKeyContext } from './api-key/api-key.service.js';

export type { UnlinkedIdentity } from './config/ephemeral-token-settings.js';
export type {
  IdentityProvider,
  OAuth2Profile,
  OAuth2Provider,
  OidcClaims,
  OidcProvider,
  ProviderDefinition,
} from './config/oidc-settings.js';
export type { PageLayout } from './config/page-settings.js';

export { EmailChangeService } from './email-change/email-change.service.js';

export { AllowApiKey, CurrentApiKey, currentApiKey } from './http/api-key.decorators.js';
export { HttpSecondFactors } from './http/http-second-factors.js';

export { AccountRecovery } from './login/account-recovery.js';
export type { RecoveryLink } from './login/account-recovery.js';
export { aalOf } from './login/assurance.js';
export { dueFactors, type DueFactors } from './login/due-factors.js';
export { LoginLimits } from './login/login-limits.js';
export { LoginService } from './login/login.service.js';
export { MailboxProofs } from './login/mailbox-proofs.js';
export type { MailboxProofContext } from './login/mailbox-proofs.js';
export type { LinkProof } from './login/mailed-links.js';
export { PasswordLogin } from './login/password-login.js';
export type { PasswordSource } from './login/password-login.js';
export type { PendingLogin } from './login/pending-logins.js';
export {
  SecondFactor,
  type FactorClaim,
  type FactorContext,
  type FactorOccasion,
  type FactorRequest,
} from './login/second-factor.js';
export {
  SecondFactorLoginService,
  type FactorResponse,
  type SecondFactorLogin,
} from './login/second-factor-login.service.js';
export type { StepUpQuestion } from './login/step-up-methods.js';
export type { StepUpWay } from './login/ways-in.js';

export { MagicLinkService } from './magic-link/magic-link.service.js';
export type {
  MagicLinkContext,
  MagicLinkLogin,
  MagicLinkWishes,
  StartedMagicLink,
} from './magic-link/magic-link.service.js';

export { OwnerNotices } from './mail/owner-notices.js';

export { IdentityService } from './oidc/identity.service.js';
export type { IdentityOwner, LinkedIdentity } from './oidc/identity.service.js';
export { KeptIdentities } from './oidc/kept-identities.js';
export type { KeptIdentity } from './oidc/kept-identities.js';
export { OidcLogoutService } from './oidc/oidc-logout.service.js';
export type { OidcAnswer, StartedOidc } from './oidc/oidc-requests.js';
export { OidcService } from './oidc/oidc.service.js';
export type { OidcOwner, OidcStart, OidcSteppedUp } from './oidc/oidc.service.js';
export type { VerifiedIdentity } from './oidc/verified-identity.js';

export { GERMAN_PAGE_TEXTS } from './pages/german-page-texts.js';
export { PageTexts } from './pages/page-texts.js';

export type { PasskeyCreationOptions, PasskeyRequestOptions } from './passkey/ceremony-options.js';
export { PasskeyLoginService } from './passkey/passkey-login.service.js';
export type { StartedPasskeyLogin } from './passkey/passkey-login.service.js';
export { PasskeyFactor } from './passkey/passkey.factor.js';
export { PasskeyService } from './passkey/passkey.service.js';
export type { AddedPasskey, Passkey, PasskeyOwner } from './passkey/passkey.service.js';
export type { PasskeyAssertionResponse, PasskeyRegistrationResponse } from './passkey/webauthn.js';

export { PasswordChangeService } from './password/password-change.service.js';
export type { ChangedPassword, PasswordChangeContext } from './password/password-change.service.js';
export { PasswordResetService } from './password/password-reset.service.js';

export { RegistrationService } from './registration/registration.service.js';
export type {
  RegisteringIdentity,
  RegistrationContext,
  RegistrationProof,
  RegistrationRequest,
  StartedRegistration,
} from './registration/registration.service.js';

export { StepUpService } from './step-up/step-up.service.js';
export type { SteppedUp, StepUpContext, StepUpMethod } from './step-up/step-up.service.js';

export { EmailCodeService, type EmailCodeOwner } from './two-factor/email-code.service.js';
export { TwoFactorService } from './two-factor/two-factor.service.js';
