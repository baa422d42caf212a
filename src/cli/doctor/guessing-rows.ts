import { hours, minutes } from '../../common/duration.js';
import type { AuthConfig } from '../../config/auth-config.js';
import { perWindow, spelled } from './spelled.js';
import type { Row } from './checklist-row.js';

/** How often passwords and codes may be guessed, and how long what is mailed is good for. */
export function guessingRows({ rateLimits, password, ephemeralTokens }: AuthConfig): Row[] {
  const { login_attempt: account, login_ip: address, login_network: network } = rateLimits.policies;
  const device = rateLimits.policies['login_known_device']!;
  const second = rateLimits.policies['2fa_attempt']!;
  const otp = ephemeralTokens.get('email_otp_setup')!;
  const reset = ephemeralTokens.get('password_reset')!;
  const { base, maxDelay } = rateLimits.backoff;
  return [
    ['E3', 'A6.5.5', 'Mailed code', spelled(otp.ttl), otp.ttl > minutes(10) && 'at most 10 min'],
    ['E5', 'A6.6.3', 'Second factors are limited', perWindow(second), second.limit > 100 && 'more than 100 guesses'],
    ['E9', 'N4.2', 'Mailed recovery', spelled(reset.ttl), reset.ttl > hours(24) && 'at most 24 h'],
    [
      'G1',
      'N3.2.2',
      'Failures in a row of an account',
      `${perWindow(account!)}, and ${password.maxFailures} until the password is disabled`,
      password.maxFailures > 100 && 'more than 100 failures in a row',
    ],
    [
      'G2',
      'N3.2.2',
      'Waiting time grows',
      base === 0 ? 'off' : `${spelled(base)} to ${spelled(maxDelay)}`,
      base === 0 && 'the back-off is off',
    ],
    ['G3', 'A6.1.1', 'Failures of an address', `${perWindow(address!)}, ${perWindow(network!)} of an IPv6 /48`],
    [
      'G3',
      'A6.1.1',
      'Strangers do not lock an owner out',
      `not of a known device, which has ${perWindow(device)}; elsewhere for ${spelled(account!.window)} at a time`,
    ],
    ['G7', 'A2.4.1', 'Costly work is bounded', `${password.concurrency} hashes at once, ${password.queue} wait`],
  ];
}
