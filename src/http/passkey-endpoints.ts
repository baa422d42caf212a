import type { HttpServer } from '@nestjs/common';

/**
 * `GET /.well-known/passkey-endpoints` (W3C working draft of 2026-01-14): where password managers lead users who want to
 * add or manage passkeys. It stands at the root, whatever prefix the application has, so it is no route of a controller.
 */
export function mountPasskeyEndpoints(adapter: HttpServer, page: string): void {
  adapter.get('/.well-known/passkey-endpoints', (_request: unknown, response: unknown) => {
    adapter.reply(response, { enroll: page, manage: page }, 200);
  });
}
