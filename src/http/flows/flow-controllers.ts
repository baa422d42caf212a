import { Controller, type Type } from '@nestjs/common';
import type { FlowName } from '../../config/flow-settings.js';
import { AccountDeletionController } from './account-deletion.controller.js';
import { ApiKeyController } from './api-key.controller.js';
import { EmailChangeController } from './email-change.controller.js';
import { EmailCodeController } from './email-code.controller.js';
import { FactorRevertController } from './factor-revert.controller.js';
import { KeptIdentityController } from './kept-identity.controller.js';
import { MagicLinkController } from './magic-link.controller.js';
import { OidcController } from './oidc.controller.js';
import { OidcLogoutController } from './oidc-logout.controller.js';
import { PasswordChangeController } from './password-change.controller.js';
import { PasskeyController } from './passkey.controller.js';
import { RegistrationController } from './registration.controller.js';
import { StepUpController } from './step-up.controller.js';
import { StepUpOidcController } from './step-up-oidc.controller.js';
import { StepUpPasskeyController } from './step-up-passkey.controller.js';
import { PasswordResetController } from './password-reset.controller.js';
import { TrustedBrowserController } from './trusted-browser.controller.js';
import { TwoFactorController } from './two-factor.controller.js';

/** The routes of each flow. */
const CONTROLLERS: Readonly<Partial<Record<FlowName, Type | readonly Type[]>>> = {
  passwordReset: PasswordResetController,
  registration: RegistrationController,
  passwordChange: PasswordChangeController,
  emailChange: EmailChangeController,
  accountDeletion: AccountDeletionController,
  stepUp: StepUpController,
  twoFactor: [TwoFactorController, EmailCodeController, TrustedBrowserController],
  passkeys: PasskeyController,
  oidc: [OidcController, KeptIdentityController, OidcLogoutController],
  apiKeys: ApiKeyController,
  magicLink: MagicLinkController,
};

/** The routes that need several flows. */
const JOINT_CONTROLLERS: readonly { readonly flows: readonly FlowName[]; readonly controller: Type }[] = [
  { flows: ['stepUp', 'passkeys'], controller: StepUpPasskeyController },
  { flows: ['stepUp', 'oidc'], controller: StepUpOidcController },
];

/** The routes of which one of several flows is enough. */
const SHARED_CONTROLLERS: typeof JOINT_CONTROLLERS = [
  { flows: ['twoFactor', 'passkeys'], controller: FactorRevertController },
];

/** The names of the handlers of all flows, each of which has an entry in the OpenAPI document. */
export type FlowHandler =
  | keyof PasswordResetController
  | keyof RegistrationController
  | keyof PasswordChangeController
  | keyof EmailChangeController
  | keyof AccountDeletionController
  | keyof StepUpController
  | keyof TwoFactorController
  | keyof EmailCodeController
  | keyof FactorRevertController
  | keyof TrustedBrowserController
  | keyof PasskeyController
  | keyof KeptIdentityController
  | keyof OidcController
  | keyof OidcLogoutController
  | keyof StepUpOidcController
  | keyof StepUpPasskeyController
  | keyof ApiKeyController
  | keyof MagicLinkController;

/** The classes that have the routes of these flows. */
function flowControllersOf(flows: readonly FlowName[]): Type[] {
  const joint = JOINT_CONTROLLERS.filter((one) => one.flows.every((flow) => flows.includes(flow)));
  const shared = SHARED_CONTROLLERS.filter((one) => one.flows.some((flow) => flows.includes(flow)));
  const own = flows.flatMap((flow) => CONTROLLERS[flow] ?? []);
  return [...own, ...[...joint, ...shared].map(({ controller }) => controller)];
}

/** The controllers of all flows, named or not. */
export const FLOW_CONTROLLERS: readonly Type[] = [
  ...Object.values(CONTROLLERS).flat(),
  ...[...JOINT_CONTROLLERS, ...SHARED_CONTROLLERS].map(({ controller }) => controller),
];

/** The routes of these flows below `path`: classes of their own for every module instance, as `authControllerAt`. */
export function flowControllersAt(path: string, flows: readonly FlowName[]): Type[] {
  return mountedAt(path, flowControllersOf(flows));
}

/** These controllers below `path`. */
export function mountedAt(path: string, controllers: readonly Type[]): Type[] {
  return controllers.map((controller) => {
    const mounted = { [controller.name]: class extends controller {} }[controller.name]!;
    Controller(path)(mounted);
    return mounted;
  });
}
