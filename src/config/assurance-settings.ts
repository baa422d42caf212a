import type { OptionChecker } from './option-checker.js';

/** What proofs are worth. */
export class AssuranceSettings {
  /**
   * Whether a password and a code by mail are two factors. Default false: mail proves a mailbox and no factor (NIST SP
   * 800-63B-4, section 3.1.3.1; OWASP ASVS 6.3.6), and often the one that resets the password too. With true
   * `@RequireAal(2)` accepts them, for logins and step-ups from then on, and `doctor` prints a deviation.
   */
  emailCounts: boolean = false;
}

export function checkAssurance(
  check: OptionChecker,
  written: Partial<AssuranceSettings> | undefined,
): AssuranceSettings {
  const assurance = check.settings('assurance', new AssuranceSettings(), written);
  check.flag('assurance.emailCounts', assurance.emailCounts);
  return assurance;
}
