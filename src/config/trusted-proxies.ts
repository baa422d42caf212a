import { parseNetwork, type Network } from '../common/ip-address.js';
import type { OptionChecker } from './option-checker.js';

/** The entry of `trustedProxies` that stands for any peer on our own Unix socket. */
const UNIX_SOCKET = 'unix';

export function checkTrustedProxies(check: OptionChecker, value: unknown = []): readonly Network[] {
  if (!Array.isArray(value)) {
    check.that(false, "trustedProxies must be a list, for example ['10.0.0.0/8'].");
    return [];
  }
  return value.map(parseNetwork).filter((network, index): network is Network => {
    if (value[index] === UNIX_SOCKET) return false;
    const usable = typeof network !== 'string';
    if (!usable) check.that(false, `trustedProxies[${index}] ${network}.`);
    return usable;
  });
}

export const trustsUnixSocket = (value: unknown): boolean => Array.isArray(value) && value.includes(UNIX_SOCKET);
