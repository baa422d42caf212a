import { ApiKeySettings, checkApiKeys, type KeyHandler } from './api-key-settings.js';
import { minutes, type Duration } from '../common/duration.js';
import type { LinkedMailKind } from '../mail/mail.js';
import { flowOfMailPage } from './mail-pages.js';
import { isRecord, type OptionChecker } from './option-checker.js';
import { checkPages, PageSettings } from './page-settings.js';
import { checkOidc, OidcSettings } from './oidc-settings.js';
import { checkPasskeys, PasskeySettings } from './passkey-settings.js';
import { checkTwoFactor, TwoFactorSettings } from './two-factor-settings.js';
import { FlowSettings } from './every-flow-settings.js';

/** `POST register`, `POST register/confirm` and `POST register/resend`. Needs `mailer`. */
export class RegistrationSettings extends FlowSettings {}

/** `POST magic-link` and `POST magic-link/confirm`. Needs `mailer`. */
export class MagicLinkSettings extends FlowSettings {}

/** `POST forgot-password` and `POST reset-password`. Needs `mailer`. */
export class PasswordResetSettings extends FlowSettings {
  /**
   * Whether an account without a password can get one by a mailed link. Default false: its owner is told how to log in
   * instead.
   */
  allowNew: boolean = false;
}

/** `POST change-password`. With a mailer the owner is told. */
export class PasswordChangeSettings extends FlowSettings {}

/** `POST change-email`, `POST confirm-email-change` and `POST revert-email-change`. Needs `mailer`. */
export class EmailChangeSettings extends FlowSettings {}

/** `DELETE account`. With a mailer the owner is told. */
export class AccountDeletionSettings extends FlowSettings {}

/** `GET step-up` and `POST step-up`. */
export class StepUpSettings extends FlowSettings {}

/**
 * The pages for operators, beside those of `flows.pages`: users with the role `admin` see accounts, their sessions, the
 * audit, used up limits and the health, and disable accounts and end sessions; those with the role `auditor` only see.
 */
export class AdminSettings extends FlowSettings {}

const SETTINGS = {
  registration: RegistrationSettings,
  passwordReset: PasswordResetSettings,
  passwordChange: PasswordChangeSettings,
  emailChange: EmailChangeSettings,
  accountDeletion: AccountDeletionSettings,
  stepUp: StepUpSettings,
  twoFactor: TwoFactorSettings,
  passkeys: PasskeySettings,
  oidc: OidcSettings,
  apiKeys: ApiKeySettings,
  pages: PageSettings,
  magicLink: MagicLinkSettings,
  admin: AdminSettings,
} as const;

/** The name of a flow. */
export type FlowName = keyof typeof SETTINGS;

type Flows = { readonly [Name in FlowName]?: Readonly<InstanceType<(typeof SETTINGS)[Name]>> };

/** The option `flows`: the flows that there are. What is not named has no route and no cost. */
export type FlowOptions = { [Name in FlowName]?: Partial<InstanceType<(typeof SETTINGS)[Name]>> } & {
  /**
   * How long after a proof a session counts as fresh, where the flows ask for that. At most a day. Default 15 minutes.
   */
  freshness?: Duration;
  /**
   * Whether accounts for whose address `users.email_verified_at` is null count as proved: rows of another program which
   * proved them. Otherwise whoever proves such a mailbox first takes the account over, without the password, factors and
   * keys that it had. Default false.
   */
  legacyVerified?: boolean;
};

/** The flows with their settings; one that is not named is missing. */
export type CheckedFlows = Flows & { readonly freshness: Duration; readonly legacyVerified: boolean };

/** What stands beside a factory: the flows with their settings, or only their names. */
export type NamedFlows = FlowOptions | readonly FlowName[];

/** What the option has beside the flows. */
const OF_ALL_FLOWS = ['freshness', 'legacyVerified'] as const;
export const FLOW_NAMES = Object.keys(SETTINGS) as readonly FlowName[];
const DEFAULT_FRESHNESS = minutes(15);

/** What the flows need of the rest. */
export interface FlowNeeds {
  readonly hasMailer: boolean;
  /** The kinds of mail with a page: see `mail.pages`. */
  readonly pages: object;
  /** Whether `flows.pages` has routes. */
  readonly hasOwnPages: boolean;
  /** Whether the user directory lacks this operation. */
  readonly lacks: (operation: string) => boolean;
  readonly hasSignedCookies: boolean;
  readonly hasJwtSessions: boolean;
  readonly baseUrl: string | undefined;
  /** Whether `routes` is written. */
  readonly hasRoutes: boolean;
  /** The optional packages that are asked for and not installed. */
  readonly missing: readonly string[];
  /** The handlers that take API keys. */
  readonly keyHandlers: readonly KeyHandler[];
}

/** The optional package that a flow is built on: it is asked for when the application starts. */
export const FLOW_PACKAGES: Readonly<Partial<Record<FlowName, string>>> = {
  passkeys: '@simplewebauthn/server',
  oidc: 'openid-client',
};

/** The flows that mail a link, and the kinds of those mails. */
const LINKS: Readonly<Partial<Record<FlowName, readonly LinkedMailKind[]>>> = {
  registration: ['registration'],
  passwordReset: ['password_reset'],
  // The link to revert makes the password useless, and a new one is chosen by a link.
  emailChange: ['email_change', 'email_changed', 'password_reset'],
  magicLink: ['magic_link'],
};
/** The same of those that need no mailer: with one, the mail about the first factor has a link that takes it back. */
const LINKS_WITH_MAILER: typeof LINKS = {
  twoFactor: ['first_factor_added', 'password_reset'],
  passkeys: ['first_factor_added', 'password_reset'],
};
/** What those ask of a `UserDirectory` whose changes end sessions that are stored nowhere. */
const OPERATIONS_IF_STATELESS: Readonly<Partial<Record<FlowName, readonly string[]>>> = {
  twoFactor: ['invalidateTokens'],
  passkeys: ['invalidateTokens'],
  oidc: ['invalidateTokens'],
  admin: ['invalidateTokens'],
};
/** What each asks of a `UserDirectory`. */
const OPERATIONS: Readonly<Record<FlowName, readonly string[]>> = {
  registration: ['register'],
  passwordReset: ['findPasswordHash', 'setPasswordHash'],
  passwordChange: ['findPasswordHash', 'setPasswordHash'],
  emailChange: ['setEmail', 'findPasswordHash', 'setPasswordHash'],
  accountDeletion: ['delete'],
  stepUp: [],
  twoFactor: [],
  passkeys: [],
  oidc: ['register'],
  // Keys end with everything else of the account.
  apiKeys: ['invalidateTokens'],
  pages: [],
  magicLink: [],
  admin: ['list', 'disable', 'enable'],
};

/** The flows whose settings are more than flags. */
const CHECKS: Readonly<
  Partial<Record<FlowName, (check: OptionChecker, label: string, settings: never, needs: FlowNeeds) => object>>
> = {
  twoFactor: checkTwoFactor,
  passkeys: checkPasskeys,
  oidc: checkOidc,
  apiKeys: checkApiKeys,
  pages: checkPages,
  admin: checkAdmin,
};

function checkAdmin(
  check: OptionChecker,
  label: string,
  { routes }: AdminSettings,
  { hasOwnPages }: Pick<FlowNeeds, 'hasOwnPages'>,
): object {
  check.that(hasOwnPages || !routes, `${label} needs flows.pages, with its routes: it adds pages to them.`);
  return {};
}

/** The flows that ask how the user of a session was authenticated, which a signed cookie does not say. */
const NEED_ROWS: readonly FlowName[] = ['stepUp', 'twoFactor', 'passkeys', 'oidc', 'pages', 'admin'];

/** The names among what stands beside the factory; mistakes are those of `checkFlows`. */
export function flowNamesOf(named: unknown): FlowName[] {
  const names: readonly unknown[] = Array.isArray(named) ? named : isRecord(named) ? Object.keys(named) : [];
  return FLOW_NAMES.filter((name) => names.includes(name));
}

/** The names of the flows whose routes are mounted. */
export function routedFlowsOf(named: unknown): FlowName[] {
  const settingsOf = (name: FlowName): unknown => (isRecord(named) ? named[name] : undefined);
  return flowNamesOf(named).filter((name) => {
    const settings = settingsOf(name);
    return !isRecord(settings) || settings['routes'] !== false;
  });
}

/**
 * The settings of the flows named beside the factory. `written` is what the factory returned: settings of those flows,
 * but for `routes`, which it would return too late.
 */
export function checkFlows(check: OptionChecker, named: unknown, written: unknown, needs: FlowNeeds): CheckedFlows {
  const known = FLOW_NAMES.join(', ');
  const beside: Record<string, unknown> = isRecord(named) ? named : {};
  if (Array.isArray(named)) {
    for (const name of named as unknown[]) {
      check.that(
        FLOW_NAMES.includes(name as FlowName),
        `flows: '${String(name)}' is not a flow; known flows: ${known}.`,
      );
    }
  } else if (named !== undefined) {
    check.keys('flows.', named, [...FLOW_NAMES, ...OF_ALL_FLOWS]);
  }
  if (written !== undefined) check.keys('flows.', written, [...FLOW_NAMES, ...OF_ALL_FLOWS]);
  const returned: Record<string, unknown> = isRecord(written) ? written : {};
  const names = flowNamesOf(named);
  for (const name of flowNamesOf(returned)) {
    check.that(
      names.includes(name),
      `flows.${name} comes too late from a factory: name it beside useFactory, as in flows: ['${name}'].`,
    );
  }
  const freshness = (returned['freshness'] ?? beside['freshness'] ?? DEFAULT_FRESHNESS) as Duration;
  check.duration('flows.freshness', freshness);
  check.that(!(freshness > minutes(24 * 60)), 'flows.freshness must be a day at most.');
  const legacyVerified = returned['legacyVerified'] ?? beside['legacyVerified'] ?? false;
  check.flag('flows.legacyVerified', legacyVerified);
  const flows = names.map((name) => [name, settingsOf(check, name, beside[name], returned[name], needs)] as const);
  return Object.freeze({ ...Object.fromEntries(flows), freshness, legacyVerified: legacyVerified === true });
}

function settingsOf(
  check: OptionChecker,
  name: FlowName,
  beside: unknown,
  returned: unknown,
  needs: FlowNeeds,
): Readonly<FlowSettings> {
  const label = `flows.${name}`;
  check.that(
    !(isRecord(returned) && 'routes' in returned),
    `${label}.routes comes too late from a factory: write it beside useFactory.`,
  );
  const given = check.settings<FlowSettings>(label, new SETTINGS[name](), beside as Partial<FlowSettings> | undefined);
  const settings = check.settings(label, given, returned as Partial<FlowSettings> | undefined);
  const checkOwn = CHECKS[name];
  if (checkOwn) {
    check.flag(`${label}.routes`, settings.routes);
    Object.assign(settings, checkOwn(check, label, settings as never, needs));
  } else {
    for (const [key, value] of Object.entries(settings)) check.flag(`${label}.${key}`, value);
  }
  const needed = FLOW_PACKAGES[name];
  check.that(
    needed === undefined || !needs.missing.includes(needed),
    `${label} needs the package ${needed}, which is not installed: npm install ${needed}`,
  );
  check.that(
    needs.hasMailer || LINKS[name] === undefined,
    `${label} needs mailer: a class that extends Mailer, and baseUrl, with which every link begins.`,
  );
  for (const kind of needs.hasMailer ? (LINKS[name] ?? LINKS_WITH_MAILER[name] ?? []) : []) {
    check.that(
      Object.hasOwn(needs.pages, kind),
      `${label} needs mail.pages.${kind}: the path of your page that the mailed link opens.${
        needs.hasOwnPages ? ` flows.pages has one if flows.${flowOfMailPage(kind)} is named too, with its routes.` : ''
      }`,
    );
  }
  check.that(
    !(needs.hasSignedCookies && NEED_ROWS.includes(name)),
    `${label} needs session: { scheme: 'database' }: a signed cookie does not say how its user was authenticated.`,
  );
  const isStateless = needs.hasSignedCookies || needs.hasJwtSessions;
  for (const operation of [...OPERATIONS[name], ...((isStateless && OPERATIONS_IF_STATELESS[name]) || [])]) {
    check.that(!needs.lacks(operation), `${label} needs ${operation}() of your UserDirectory: override it.`);
  }
  return Object.freeze(settings);
}
