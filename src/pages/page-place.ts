import { Logger } from '@nestjs/common';
import { ApplicationConfig, type ModulesContainer } from '@nestjs/core';
import type { AuthConfig } from '../config/auth-config.js';
import { routedFlowsOf } from '../config/flow-settings.js';
import { mailPagesBelow } from '../config/mail-pages.js';

/**
 * The options are read before an application says its global prefix: only now can be told that the links of mails, where
 * nobody has written them, lead beside the pages. A warning, since a proxy may put the prefix in front.
 */
export function warnOfPrefix({ mail, routes, flows }: AuthConfig, modules: ModulesContainer): void {
  const [first] = modules.values();
  const config = first?.providers.get(ApplicationConfig)?.instance as ApplicationConfig | undefined;
  const prefix = (config?.getGlobalPrefix() ?? '').replaceAll(/^\/+|\/+$/g, '');
  if (!mail || prefix === '') return;
  const own = mailPagesBelow(routes?.path, routedFlowsOf(flows));
  const kinds = Object.keys(own) as (keyof typeof own)[];
  const missed = kinds.filter((kind) => mail.pages[kind] === own[kind]);
  if (missed.length === 0) return;
  const [example] = missed;
  new Logger('Auth').warn(
    `The application has the global prefix '${prefix}', and the links of mails lead to pages without it. Unless a proxy ` +
      `adds it, write mail.pages for ${missed.join(', ')}, such as ${example}: '/${prefix}${own[example!]}'.`,
  );
}
