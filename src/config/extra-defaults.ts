/**
 * The defaults of the options that decide which providers exist; `AuthModuleExtras` documents them. They are written
 * beside `useFactory`, since a factory would return them too late.
 */
export const EXTRA_DEFAULTS = {
  routes: undefined,
  globalGuard: true,
  users: undefined,
  imports: undefined,
  dataSource: undefined,
  engine: undefined,
  mailer: undefined,
  passwordPolicy: undefined,
  flows: undefined,
  isGlobal: true,
} as const;
