import type { HttpServer } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';
import { pathOfHandler } from '../http/own-address.js';
import { PasswordPages } from './password.pages.js';

/**
 * `GET /.well-known/change-password` (W3C, A Well-Known URL for Changing Passwords): where password managers lead users
 * whose password has leaked. It stands at the root, whatever prefix the application has, so it is no route of a
 * controller; the address is relative, as those of the pages are. Without a page for passwords there is none.
 */
export function mountChangePasswordAddress(adapter: HttpServer, modules: ModulesContainer): void {
  const page = pathOfHandler(modules, PasswordPages, 'showPassword');
  if (page === null) return;
  adapter.get('/.well-known/change-password', (_request: unknown, response: unknown) => {
    adapter.redirect(response, 302, `..${page}`);
  });
}
