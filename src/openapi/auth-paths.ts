import { accountPaths } from './account-paths.js';
import { apiKeyPaths } from './api-key-paths.js';
import type { Description } from './description.js';
import { emailCodePaths } from './email-code-paths.js';
import { magicLinkPaths } from './magic-link-paths.js';
import type { Handler } from './mounted-routes.js';
import { oidcPaths } from './oidc-paths.js';
import { passkeyPaths } from './passkey-paths.js';
import { passwordPaths } from './password-paths.js';
import { registrationPaths } from './registration-paths.js';
import { secondFactorPaths } from './second-factor-paths.js';
import { sessionPaths } from './session-paths.js';
import { stepUpPaths } from './step-up-paths.js';
import { twoFactorPaths } from './two-factor-paths.js';

/** By handler, so that a route without a description does not compile. */
export const authPaths: Readonly<Record<Handler, Description>> = {
  ...sessionPaths,
  ...registrationPaths,
  ...passwordPaths,
  ...accountPaths,
  ...secondFactorPaths,
  ...stepUpPaths,
  ...twoFactorPaths,
  ...emailCodePaths,
  ...passkeyPaths,
  ...oidcPaths,
  ...apiKeyPaths,
  ...magicLinkPaths,
};
