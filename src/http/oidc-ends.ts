import { Injectable } from '@nestjs/common';
import type { AuthErrorCode } from '../auth.errors.js';
import { AuthConfig } from '../config/auth-config.js';
import type { AuthRequest } from './auth-request.js';
import type { DueSecondFactor } from './started-session.js';

/** The page that a login at a provider ends on which is not finished: that of the host, as `flows.oidc.page` has it. */
@Injectable()
export class OidcEnds {
  constructor(protected readonly config: AuthConfig) {}

  /** In the fragment, which goes into no log; the token is nothing without the cookie that has been set. */
  pending(_request: AuthRequest, _response: object, login: DueSecondFactor, returnTo: string): string {
    const { status, token, methods } = login;
    return withFragment(this.page(), { status, token, methods: methods.join(' '), returnTo });
  }

  /** A mail is on its way, whose link or code opens the account. */
  mailed(_request: AuthRequest, returnTo: string): string {
    return withFragment(this.page(), { status: 'confirmation_required', returnTo });
  }

  failed(_request: AuthRequest, code: AuthErrorCode): string {
    return `${this.page()}?error=${code}`;
  }

  private page(): string {
    return this.config.flows.oidc!.page ?? this.config.loginPage ?? '/';
  }
}

export function withFragment(address: string, fields: Readonly<Record<string, string>>): string {
  return `${address}#${new URLSearchParams(fields).toString()}`;
}
