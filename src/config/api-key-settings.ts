import { FlowSettings } from './every-flow-settings.js';
import { isRecord, type OptionChecker } from './option-checker.js';

/** A handler that takes API keys, and the scope that it names. */
export interface KeyHandler {
  /** Such as `NotesController.list`. */
  readonly name: string;
  readonly scope: string;
}

/** The scopes that API keys can have, and for each the roles of which its owner needs one; none: everybody may. */
export type ApiKeyScopes = readonly string[] | Readonly<Record<string, readonly string[]>>;

/** `GET api-keys`, `POST api-keys` and `DELETE api-keys/:id`; and handlers with `@AllowApiKey(scope)` take keys. */
export class ApiKeySettings extends FlowSettings {
  /**
   * The scopes, of which a key gets those that its owner chooses: `['notes:read']`, or `{ 'notes:read': [], 'users:read':
   * ['admin'] }` where some are for owners with one of these roles. At most 100, each of 1 to 64 of `a-z 0-9 : _ -`.
   * Required. A scope that is taken out of the list is taken out of every key.
   */
  scopes: ApiKeyScopes = [];

  /** How many live keys a user can have. Default 50. */
  maxPerUser: number = 50;
}

const MAX_SCOPES = 100;
/** Of a scope, and of a role. */
const NAME = /^[a-z0-9:_-]{1,64}$/;
const isName = (value: unknown): boolean => typeof value === 'string' && NAME.test(value);

/** The scopes as a copy, as frozen as the rest of the configuration. */
export function checkApiKeys(
  check: OptionChecker,
  label: string,
  { scopes, maxPerUser }: Readonly<ApiKeySettings>,
  { keyHandlers }: { readonly keyHandlers: readonly KeyHandler[] },
): Pick<ApiKeySettings, 'scopes'> {
  check.integer(`${label}.maxPerUser`, maxPerUser, 1, 1_000);
  const checked = checkedScopes(check, `${label}.scopes`, scopes);
  const known = new Set(Array.isArray(checked) ? (checked as readonly string[]) : Object.keys(checked));
  for (const { name, scope } of keyHandlers) {
    check.that(
      known.has(scope),
      `${name} has @AllowApiKey('${scope}'), which is no scope of ${label}.scopes: no key could ever call it. Add it there, or correct its name.`,
    );
  }
  return { scopes: checked };
}

function checkedScopes(check: OptionChecker, label: string, scopes: unknown): ApiKeyScopes {
  const names: readonly unknown[] | null = Array.isArray(scopes)
    ? scopes
    : isRecord(scopes)
      ? Object.keys(scopes)
      : null;
  check.that(
    names !== null &&
      names.length > 0 &&
      names.length <= MAX_SCOPES &&
      new Set(names).size === names.length &&
      names.every(isName),
    `${label} must name 1 to ${MAX_SCOPES} scopes such as ['notes:read'], each once and of 1 to 64 of a-z, 0-9, :, _ and -.`,
  );
  for (const [scope, roles] of isRecord(scopes) ? Object.entries(scopes) : []) {
    check.that(
      Array.isArray(roles) && roles.every(isName),
      `${label}['${scope}'] must list the roles of which its owner needs one, such as ['admin'], or be [] for everybody.`,
    );
  }
  if (!isRecord(scopes)) return Object.freeze([...((names ?? []) as string[])]);
  const copied = Object.entries(scopes).map(([scope, roles]) => {
    return [scope, Object.freeze(Array.isArray(roles) ? [...(roles as string[])] : [])] as const;
  });
  return Object.freeze(Object.fromEntries(copied));
}
