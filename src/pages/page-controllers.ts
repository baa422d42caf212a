import type { Provider, Type } from '@nestjs/common';
import type { FlowName } from '../config/flow-settings.js';
import { AuthController } from '../http/auth.controller.js';
import { SecondFactorController } from '../http/flows/second-factor.controller.js';
import { mountedAt } from '../http/flows/flow-controllers.js';
import { AccountPages } from './account.pages.js';
import { AdminActivityPages } from './admin-activity.pages.js';
import { AdminPages } from './admin.pages.js';
import { AssetPages } from './asset.pages.js';
import { EmailChangeController } from '../http/flows/email-change.controller.js';
import { PasswordResetController } from '../http/flows/password-reset.controller.js';
import { RegistrationController } from '../http/flows/registration.controller.js';
import { KeptIdentityController } from '../http/flows/kept-identity.controller.js';
import { OidcController } from '../http/flows/oidc.controller.js';
import { OidcEnds } from '../http/oidc-ends.js';
import { IdentityPages } from './identity.pages.js';
import { StepUpOidcPages } from './step-up-oidc.pages.js';
import { PageOidcEnds } from './page-oidc-ends.js';
import { ProviderRedirects } from './provider-redirects.js';
import { FactorRevertController } from '../http/flows/factor-revert.controller.js';
import { FactorRevertPages } from './factor-revert.pages.js';
import { MagicLinkController } from '../http/flows/magic-link.controller.js';
import { MagicLinkPages } from './magic-link.pages.js';
import { EmailChangePages } from './email-change.pages.js';
import { PasswordResetPages } from './password-reset.pages.js';
import { RegistrationPages } from './registration.pages.js';
import { AccountDeletionController } from '../http/flows/account-deletion.controller.js';
import { AccountDeletionPages } from './account-deletion.pages.js';
import { ApiKeyController } from '../http/flows/api-key.controller.js';
import { ApiKeyPages } from './api-key.pages.js';
import { PasskeyController } from '../http/flows/passkey.controller.js';
import { PasskeyPages } from './passkey.pages.js';
import { StepUpController } from '../http/flows/step-up.controller.js';
import { StepUpPages } from './step-up.pages.js';
import { PasswordChangeController } from '../http/flows/password-change.controller.js';
import { PasswordPages } from './password.pages.js';
import { TrustedBrowserController } from '../http/flows/trusted-browser.controller.js';
import { TwoFactorController } from '../http/flows/two-factor.controller.js';
import { AuthenticatorPages } from './authenticator.pages.js';
import { HeldLogins } from './held-logins.js';
import { PageAnswers } from './page-answers.js';
import { PageErrorFilter } from './page-error.filter.js';
import { RecentEvents } from './recent-events.js';
import { SignInPages } from './sign-in.pages.js';
import { TwoFactorPages } from './two-factor.pages.js';

/** Pages, the flow they belong to, and the JSON controllers whose work they do. */
interface PagesOf {
  readonly pages: Type;
  readonly doing: readonly Type[];
  /** One of them is enough. */
  readonly flow?: FlowName | readonly FlowName[];
  /** Needed besides. */
  readonly with?: FlowName;
  readonly needs?: 'login' | 'secondFactors';
}

const PAGES: readonly PagesOf[] = [
  { pages: AssetPages, doing: [] },
  { pages: AccountPages, doing: [AuthController as Type] },
  { pages: SignInPages, doing: [AuthController as Type], needs: 'login' },
  { pages: RegistrationPages, doing: [RegistrationController], flow: 'registration' },
  { pages: PasswordResetPages, doing: [PasswordResetController], flow: 'passwordReset' },
  { pages: EmailChangePages, doing: [EmailChangeController], flow: 'emailChange' },
  { pages: FactorRevertPages, doing: [FactorRevertController], flow: ['twoFactor', 'passkeys'] },
  { pages: MagicLinkPages, doing: [MagicLinkController], flow: 'magicLink' },
  { pages: IdentityPages, doing: [OidcController, KeptIdentityController], flow: 'oidc' },
  { pages: StepUpOidcPages, doing: [], flow: 'oidc', with: 'stepUp' },
  { pages: TwoFactorPages, doing: [SecondFactorController], needs: 'secondFactors' },
  { pages: AccountDeletionPages, doing: [AccountDeletionController], flow: 'accountDeletion' },
  { pages: ApiKeyPages, doing: [ApiKeyController], flow: 'apiKeys' },
  { pages: PasskeyPages, doing: [PasskeyController], flow: 'passkeys' },
  { pages: StepUpPages, doing: [StepUpController], flow: 'stepUp' },
  { pages: PasswordPages, doing: [PasswordChangeController], flow: 'passwordChange' },
  { pages: AuthenticatorPages, doing: [TwoFactorController, TrustedBrowserController], flow: 'twoFactor' },
  { pages: AdminPages, doing: [], flow: 'admin' },
  { pages: AdminActivityPages, doing: [], flow: 'admin' },
];

/** The controllers of all pages, mounted or not. */
export const PAGE_CONTROLLERS: readonly Type[] = PAGES.map(({ pages }) => pages);

/** What is there besides the flows. */
export interface PagesFor {
  readonly flows: readonly FlowName[];
  readonly login: boolean;
  readonly secondFactors: boolean;
}

const isThere = ({ flow = [], with: other }: PagesOf, flows: readonly FlowName[]): boolean => {
  const own = [flow].flat() as readonly FlowName[];
  return (own.length === 0 || own.some((one) => flows.includes(one))) && (!other || flows.includes(other));
};

const pagesFor = ({ flows, ...there }: PagesFor): PagesOf[] =>
  flows.includes('pages') ? PAGES.filter((one) => isThere(one, flows) && (!one.needs || there[one.needs])) : [];

/** The pages of these flows below `path`. */
export function pageControllersAt(path: string, there: PagesFor): Type[] {
  return mountedAt(
    path,
    pagesFor(there).map(({ pages }) => pages),
  );
}

/** What the pages inject: the JSON controllers are theirs as any service is. */
export function pageProviders(there: PagesFor): Provider[] {
  const pages = pagesFor(there);
  if (pages.length === 0) return [];
  const redirects: Provider[] = there.flows.includes('oidc')
    ? [ProviderRedirects, { provide: OidcEnds, useClass: PageOidcEnds }]
    : [];
  return [
    ...redirects,
    HeldLogins,
    PageAnswers,
    RecentEvents,
    PageErrorFilter,
    ...new Set(pages.flatMap(({ doing }) => doing)),
  ];
}
