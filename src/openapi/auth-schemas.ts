import { z } from 'zod';
import {
  ChangedFactorsAnswer,
  ApiKeyAnswer,
  ApiKeyListAnswer,
  ChangedAnswer,
  CurrentAnswer,
  DoneAnswer,
  EnrolmentRequiredAnswer,
  LoginAnswer,
  MagicLinkDueAnswer,
  MagicLinkEnrolmentAnswer,
  MagicLinkLoginAnswer,
  LogoutAllAnswer,
  NewApiKeyAnswer,
  ReplacementAnswer,
  StepUpAnswer,
  StepUpStateAnswer,
  SecondFactorDoneAnswer,
  SecondFactorDueAnswer,
  SessionAnswer,
  SessionListAnswer,
  SessionOfKindAnswer,
  SessionOfKindListAnswer,
  TokenAnswer,
  TotpSetupAnswer,
  TwoFactorAnswer,
  UserAnswer,
} from '../http/answers.js';
import { EmailCodeBody } from '../http/flows/email-code.controller.js';
import { ApiKeyBody } from '../http/flows/api-key.controller.js';
import { LinkBody } from '../http/fields.js';
import { EmailChangeBody } from '../http/flows/email-change.controller.js';
import { SecondFactorBody, SecondFactorRequestBody } from '../http/flows/second-factor.controller.js';
import { OidcExchangeBody, OidcReturnBody, OidcStartBody } from '../http/flows/oidc.controller.js';
import { OidcLogoutBody } from '../http/flows/oidc-logout.controller.js';
import { PasswordChangeBody } from '../http/flows/password-change.controller.js';
import { MagicLinkBody, MagicLinkConfirmationBody } from '../http/flows/magic-link.controller.js';
import {
  RegistrationBody,
  RegistrationConfirmationBody,
  RegistrationResendBody,
} from '../http/flows/registration.controller.js';
import { HeldLoginBody, PasskeyBody, PasskeyLoginBody, PasskeyNameBody } from '../http/flows/passkey.controller.js';
import { StepUpBody, StepUpRequestBody } from '../http/flows/step-up.controller.js';
import { NoFieldsBody, TotpEnableBody, TotpSetupBody } from '../http/flows/two-factor.controller.js';
import { ForgottenPasswordBody, PasswordResetBody } from '../http/flows/password-reset.controller.js';
import { loginBodySchema } from '../http/login-body.js';
import {
  AddedPasskeyAnswer,
  PasskeyAnswer,
  PasskeyCreationAnswer,
  PasskeyListAnswer,
  PasskeyRequestAnswer,
} from '../http/passkey-answers.js';
import {
  ExchangeAnswer,
  IdentityAnswer,
  IdentityListAnswer,
  KeptIdentityListAnswer,
  ProviderAddressAnswer,
  ProviderListAnswer,
} from '../http/oidc-answers.js';
import type { RouteFacts } from './route-facts.js';

/** The bodies that routes take. */
export const BODIES = {
  AuthCredentials: (facts: RouteFacts) => loginBodySchema(facts),
  AuthForgottenPassword: () => ForgottenPasswordBody,
  AuthPasswordReset: () => PasswordResetBody,
  AuthSecondFactor: () => SecondFactorBody,
  AuthSecondFactorRequest: () => SecondFactorRequestBody,
  AuthPasswordChange: () => PasswordChangeBody,
  AuthRegistration: () => RegistrationBody,
  AuthRegistrationResend: () => RegistrationResendBody,
  AuthRegistrationConfirmation: () => RegistrationConfirmationBody,
  AuthMagicLinkRequest: () => MagicLinkBody,
  AuthMagicLinkConfirmation: () => MagicLinkConfirmationBody,
  AuthStepUpProof: () => StepUpBody,
  AuthStepUpRequest: () => StepUpRequestBody,
  AuthEmailChange: () => EmailChangeBody,
  AuthEmailCode: () => EmailCodeBody,
  AuthLink: () => LinkBody,
  AuthTotpSetup: () => TotpSetupBody,
  AuthTotpProof: () => TotpEnableBody,
  AuthNoFields: () => NoFieldsBody,
  AuthNewPasskey: () => PasskeyBody,
  AuthPasskeyName: () => PasskeyNameBody,
  AuthPasskeyProof: () => PasskeyLoginBody,
  AuthHeldLogin: () => HeldLoginBody,
  AuthProviderLogin: () => OidcStartBody,
  AuthProviderReturn: () => OidcReturnBody,
  AuthProviderLogout: () => OidcLogoutBody,
  AuthProviderExchange: () => OidcExchangeBody,
  AuthApiKeyRequest: () => ApiKeyBody,
};
export type BodyName = keyof typeof BODIES;

/** The answers of routes, and what they are made of. */
export const SCHEMAS = {
  AuthUser: UserAnswer,
  AuthSession: SessionAnswer,
  AuthSessions: SessionListAnswer,
  AuthSessionOfKind: SessionOfKindAnswer,
  AuthSessionsOfKind: SessionOfKindListAnswer,
  AuthLogin: LoginAnswer,
  AuthToken: TokenAnswer,
  AuthSecondFactorDue: SecondFactorDueAnswer,
  AuthEnrolmentRequired: EnrolmentRequiredAnswer,
  AuthLoginStep: z.discriminatedUnion('status', [LoginAnswer, SecondFactorDueAnswer, EnrolmentRequiredAnswer]),
  AuthTokenStep: z.discriminatedUnion('status', [TokenAnswer, SecondFactorDueAnswer, EnrolmentRequiredAnswer]),
  AuthMagicLinkLogin: MagicLinkLoginAnswer,
  AuthMagicLinkStep: z.discriminatedUnion('status', [
    MagicLinkLoginAnswer,
    MagicLinkDueAnswer,
    MagicLinkEnrolmentAnswer,
  ]),
  AuthSecondFactorDone: SecondFactorDoneAnswer,
  AuthCurrent: CurrentAnswer,
  AuthDone: DoneAnswer,
  AuthChanged: ChangedAnswer,
  AuthReplacement: ReplacementAnswer,
  AuthStepUpState: StepUpStateAnswer,
  AuthStepUp: StepUpAnswer,
  AuthLoggedOutEverywhere: LogoutAllAnswer,
  AuthTwoFactor: TwoFactorAnswer,
  AuthTotpSecret: TotpSetupAnswer,
  AuthChangedFactors: ChangedFactorsAnswer,
  AuthPasskey: PasskeyAnswer,
  AuthAddedPasskey: AddedPasskeyAnswer,
  AuthPasskeys: PasskeyListAnswer,
  AuthPasskeyCreation: PasskeyCreationAnswer,
  AuthPasskeyRequest: PasskeyRequestAnswer,
  AuthProviders: ProviderListAnswer,
  AuthProviderAddress: ProviderAddressAnswer,
  AuthProviderSession: ExchangeAnswer,
  AuthProviderStep: z.discriminatedUnion('status', [ExchangeAnswer, SecondFactorDueAnswer, EnrolmentRequiredAnswer]),
  AuthIdentity: IdentityAnswer,
  AuthIdentities: IdentityListAnswer,
  AuthKeptIdentities: KeptIdentityListAnswer,
  AuthApiKey: ApiKeyAnswer,
  AuthApiKeys: ApiKeyListAnswer,
  AuthNewApiKey: NewApiKeyAnswer,
};
export type SchemaName = keyof typeof SCHEMAS;
