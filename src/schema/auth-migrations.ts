import { CreateUsers1763683200001 } from './migrations/1763683200001-create-users.js';
import { CreateRevokedTokens1763683200005 } from './migrations/1763683200005-create-revoked-tokens.js';
import { publishChangesFor } from './migrations/1763683200006-publish-changes.js';
import { Cleanup1763683200007 } from './migrations/1763683200007-cleanup.js';
import { CreateAuditEvents1763683200008 } from './migrations/1763683200008-create-audit-events.js';
import { LighterRateLimits1763683200009 } from './migrations/1763683200009-lighter-rate-limits.js';
import { openUnderTheCapFor } from './migrations/1763683200010-open-under-the-cap.js';
import { createSessionsFor } from './migrations/1763683200002-create-sessions.js';
import { CreateEphemeralTokens1763683200003 } from './migrations/1763683200003-create-ephemeral-tokens.js';
import { CreateRateLimits1763683200004 } from './migrations/1763683200004-create-rate-limits.js';

/** The migrations of this module, for `TypeOrmModule.forRoot({ migrations: [...authMigrations, …] })`. */
export const authMigrations = [
  CreateUsers1763683200001,
  createSessionsFor('uuid', { referencesUsers: true }),
  CreateEphemeralTokens1763683200003,
  CreateRateLimits1763683200004,
  CreateRevokedTokens1763683200005,
  publishChangesFor({ referencesUsers: true }),
  Cleanup1763683200007,
  CreateAuditEvents1763683200008,
  LighterRateLimits1763683200009,
  openUnderTheCapFor('uuid', { referencesUsers: true }),
];
