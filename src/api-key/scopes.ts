import type { ApiKeyScopes } from '../config/api-key-settings.js';
import type { AuthUser } from '../user/user.directory.js';

/** What API keys can be made for, and by whom. */
export class Scopes {
  private readonly roles: ReadonlyMap<string, readonly string[]>;

  constructor(scopes: ApiKeyScopes) {
    this.roles = new Map(
      Array.isArray(scopes) ? (scopes as readonly string[]).map((scope) => [scope, []]) : Object.entries(scopes),
    );
  }

  get names(): readonly string[] {
    return [...this.roles.keys()];
  }

  has(scope: string): boolean {
    return this.roles.has(scope);
  }

  /** The roles of which its owner needs one; none: everybody may. */
  rolesFor(scope: string): readonly string[] {
    return this.roles.get(scope) ?? [];
  }

  /** Whether a key of this user may do it now. */
  allows(user: AuthUser, scope: string): boolean {
    const roles = this.roles.get(scope);
    return roles !== undefined && (roles.length === 0 || roles.some((role) => user.roles?.includes(role)));
  }
}
