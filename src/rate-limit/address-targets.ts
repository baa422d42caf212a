import { siteOfAddress } from '../common/ip-address.js';
import { NETWORK_EVENTS, type RateLimitEvent } from '../config/rate-limit-settings.js';
import type { RateLimitTarget } from './rate-limit.service.js';

/** The bucket of a client's address, and that of its site beside it where the event has one. */
export function addressTargets(event: RateLimitEvent, ip: string | null): RateLimitTarget[] {
  const network = NETWORK_EVENTS[event];
  const site = network === undefined ? null : siteOfAddress(ip);
  return [{ event, subject: ip }, ...(site === null ? [] : [{ event: network!, subject: site }])];
}
