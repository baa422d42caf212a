import type { AuthConfig } from '../../config/auth-config.js';
import type { HostConfiguration } from '../host.js';

/** The second factors that raise a session to AAL2, as an operator calls them. */
export function offeredFactors({ flows }: AuthConfig, { extras }: HostConfiguration): string[] {
  return [
    ...(flows.twoFactor?.totp ? ['TOTP'] : []),
    ...(flows.passkeys ? ['passkeys'] : []),
    ...((extras.secondFactors?.length ?? 0) > 0 ? ['secondFactors of your own'] : []),
  ];
}
