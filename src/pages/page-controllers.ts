import type { Provider, Type } from '@nestjs/common';
import type { FlowName } from '../config/flow-settings.js';
import { AuthController } from '../http/auth.controller.js';
import { SecondFactorController } from '../http/flows/second-factor.controller.js';
import { mountedAt } from '../http/flows/flow-controllers.js';
import { AccountPages } from './account.pages.js';
import { AssetPages } from './asset.pages.js';
import { HeldLogins } from './held-logins.js';
import { PageAnswers } from './page-answers.js';
import { PageErrorFilter } from './page-error.filter.js';
import { SignInPages } from './sign-in.pages.js';
import { TwoFactorPages } from './two-factor.pages.js';

/** Pages, the flow they belong to, and the JSON controllers whose work they do. */
interface PagesOf {
  readonly pages: Type;
  readonly doing: readonly Type[];
  readonly flow?: FlowName;
  readonly needs?: 'login' | 'secondFactors';
}

const PAGES: readonly PagesOf[] = [
  { pages: AssetPages, doing: [] },
  { pages: AccountPages, doing: [AuthController as Type] },
  { pages: SignInPages, doing: [AuthController as Type], needs: 'login' },
  { pages: TwoFactorPages, doing: [SecondFactorController], needs: 'secondFactors' },
];

/** The controllers of all pages, mounted or not. */
export const PAGE_CONTROLLERS: readonly Type[] = PAGES.map(({ pages }) => pages);

/** What is there besides the flows. */
export interface PagesFor {
  readonly flows: readonly FlowName[];
  readonly login: boolean;
  readonly secondFactors: boolean;
}

const pagesFor = ({ flows, ...there }: PagesFor): PagesOf[] =>
  flows.includes('pages')
    ? PAGES.filter(({ flow, needs }) => (!flow || flows.includes(flow)) && (!needs || there[needs]))
    : [];

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
  return [HeldLogins, PageAnswers, PageErrorFilter, ...new Set(pages.flatMap(({ doing }) => doing))];
}
