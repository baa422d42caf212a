import { days, type Duration } from '../common/duration.js';
import { FlowSettings } from './every-flow-settings.js';
import type { OptionChecker } from './option-checker.js';

/** Codes of an authenticator app (RFC 6238). */
export class TotpSettings {
  /**
   * The name that the authenticator shows beside the account: 1 to 64 characters, none of them `:`. Default: the host of
   * `baseUrl`, or `nestjs-latchkey` without one.
   */
  issuer: string | undefined = undefined;
}

/** Codes to keep on paper, for whoever loses the other factors. */
export class BackupCodeSettings {
  /** How many there are at a time: 4 to 20. Default 10. */
  count: number = 10;
}

/** Codes by mail. They prove a mailbox and no second factor, unless `assurance.emailCounts` says otherwise. */
export class EmailCodeSettings {}

/** An account, as far as `required` is told of it; an `AuthUser`. */
export interface RequiredUser {
  readonly id: string;
  readonly email: string;
  readonly roles?: readonly string[];
}

/**
 * Second factors: `GET 2fa`, and the routes of the factors that are named. What is not named nobody can have, and nobody
 * is asked for. Needs stored sessions.
 */
export class TwoFactorSettings extends FlowSettings {
  /** `POST 2fa/totp/setup`, `POST 2fa/totp/enable` and `POST 2fa/totp/disable`. Default: none. */
  totp: Partial<TotpSettings> | undefined = undefined;

  /** `POST 2fa/backup-codes`; the first ones are handed out with the first factor. Default: none. */
  backupCodes: Partial<BackupCodeSettings> | undefined = undefined;

  /**
   * `POST 2fa/email/enable`, `POST 2fa/email/enable/confirm` and `POST 2fa/email/disable`: a code by mail as the second
   * step. It raises the assurance of a session only with `assurance.emailCounts`. Needs `mailer`. Default: none.
   */
  emailCode: EmailCodeSettings | undefined = undefined;

  /**
   * `trustBrowser` of `POST 2fa/verify`, and `DELETE 2fa/trusted-browsers`: for how long the logins of an account go
   * without their second step in a browser in which it was proved, in milliseconds. At most a year. Default: the second
   * step is asked for every time.
   */
  trustedBrowsers: Duration | undefined = undefined;

  /**
   * Who must have a second factor. Whoever has none is logged in once they have enrolled one. Asked at every login, with
   * the account as the `UserDirectory` has it. Default: nobody.
   */
  // The type of a method, so that a function of an `AuthUser` can be given too.
  required: { of(user: RequiredUser): boolean }['of'] | undefined = undefined;
}

const ISSUER = /^[^:\p{C}]{1,64}$/u;

/** The settings of the factors, with their defaults. */
export function checkTwoFactor(
  check: OptionChecker,
  label: string,
  { totp, backupCodes, emailCode, trustedBrowsers, required }: TwoFactorSettings,
  { hasMailer }: { readonly hasMailer: boolean },
): Pick<TwoFactorSettings, 'totp' | 'backupCodes' | 'emailCode'> {
  check.that(
    required === undefined || typeof required === 'function',
    `${label}.required must be a function of the user that returns true or false, such as (user) => user.roles.includes('admin').`,
  );
  check.that(
    [totp, backupCodes, emailCode, trustedBrowsers, required].some((part) => part !== undefined),
    `${label} has nothing in it: name a factor, as in { totp: {}, backupCodes: {} }.`,
  );
  const checked = {
    totp: totp === undefined ? undefined : check.settings(`${label}.totp`, new TotpSettings(), totp),
    backupCodes:
      backupCodes === undefined
        ? undefined
        : check.settings(`${label}.backupCodes`, new BackupCodeSettings(), backupCodes),
    emailCode:
      emailCode === undefined ? undefined : check.settings(`${label}.emailCode`, new EmailCodeSettings(), emailCode),
  };
  check.that(
    hasMailer || emailCode === undefined,
    `${label}.emailCode needs mailer: a class that extends Mailer, and baseUrl.`,
  );
  if (trustedBrowsers !== undefined) {
    check.duration(`${label}.trustedBrowsers`, trustedBrowsers);
    check.that(!(trustedBrowsers > days(365)), `${label}.trustedBrowsers must be a year at most, such as days(30).`);
  }
  const { issuer } = checked.totp ?? {};
  check.that(
    issuer === undefined || (typeof issuer === 'string' && ISSUER.test(issuer)),
    `${label}.totp.issuer must be 1 to 64 visible characters, none of them a colon: the name of your site.`,
  );
  if (checked.backupCodes) check.integer(`${label}.backupCodes.count`, checked.backupCodes.count, 4, 20);
  return {
    totp: frozen(checked.totp),
    backupCodes: frozen(checked.backupCodes),
    emailCode: frozen(checked.emailCode),
  };
}

const frozen = <Settings>(settings: Settings): Settings => Object.freeze(settings);
