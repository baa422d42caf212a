import { z } from 'zod';
import {
  ApiKeyAnswer,
  ApiKeyListAnswer,
  CurrentAnswer,
  DoneAnswer,
  LoginAnswer,
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
  UserAnswer,
} from '../http/answers.js';
import { ApiKeyBody } from '../http/flows/api-key.controller.js';
import { EmailChangeBody, LinkBody } from '../http/flows/email-change.controller.js';
import { SecondFactorBody, SecondFactorRequestBody } from '../http/flows/second-factor.controller.js';
import { PasswordChangeBody } from '../http/flows/password-change.controller.js';
import {
  RegistrationBody,
  RegistrationConfirmationBody,
  RegistrationResendBody,
} from '../http/flows/registration.controller.js';
import { StepUpBody } from '../http/flows/step-up.controller.js';
import { ForgottenPasswordBody, PasswordResetBody } from '../http/flows/password-reset.controller.js';
import { loginBodySchema } from '../http/login-body.js';
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
  AuthStepUpProof: () => StepUpBody,
  AuthEmailChange: () => EmailChangeBody,
  AuthLink: () => LinkBody,
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
  AuthLoginStep: z.discriminatedUnion('status', [LoginAnswer, SecondFactorDueAnswer]),
  AuthTokenStep: z.discriminatedUnion('status', [TokenAnswer, SecondFactorDueAnswer]),
  AuthSecondFactorDone: SecondFactorDoneAnswer,
  AuthCurrent: CurrentAnswer,
  AuthDone: DoneAnswer,
  AuthReplacement: ReplacementAnswer,
  AuthStepUpState: StepUpStateAnswer,
  AuthStepUp: StepUpAnswer,
  AuthLoggedOutEverywhere: LogoutAllAnswer,
  AuthApiKey: ApiKeyAnswer,
  AuthApiKeys: ApiKeyListAnswer,
  AuthNewApiKey: NewApiKeyAnswer,
};
export type SchemaName = keyof typeof SCHEMAS;
