import { Controller, type Type } from '@nestjs/common';
import type { FlowName } from '../../config/flow-settings.js';
import { AccountDeletionController } from './account-deletion.controller.js';
import { ApiKeyController } from './api-key.controller.js';
import { EmailChangeController } from './email-change.controller.js';
import { PasswordChangeController } from './password-change.controller.js';
import { RegistrationController } from './registration.controller.js';
import { StepUpController } from './step-up.controller.js';
import { PasswordResetController } from './password-reset.controller.js';

/** The routes of each flow. */
const CONTROLLERS: Readonly<Partial<Record<FlowName, Type>>> = {
  passwordReset: PasswordResetController,
  registration: RegistrationController,
  passwordChange: PasswordChangeController,
  emailChange: EmailChangeController,
  accountDeletion: AccountDeletionController,
  stepUp: StepUpController,
  apiKeys: ApiKeyController,
};

/** The names of the handlers of all flows, each of which has an entry in the OpenAPI document. */
export type FlowHandler =
  | keyof PasswordResetController
  | keyof RegistrationController
  | keyof PasswordChangeController
  | keyof EmailChangeController
  | keyof AccountDeletionController
  | keyof StepUpController
  | keyof ApiKeyController;

/** The classes that have the routes of these flows. */
function flowControllersOf(flows: readonly FlowName[]): Type[] {
  return flows.flatMap((flow) => CONTROLLERS[flow] ?? []);
}

/** The controllers of all flows, named or not. */
export const FLOW_CONTROLLERS = Object.values(CONTROLLERS);

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
