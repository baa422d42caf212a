// Every entry of the package, and an augmentation, as an application's own code would use them.
import type { DynamicModule } from '@nestjs/common';
import { AuthModule, CurrentUser, type AuthUser, type UserDirectory } from 'nestjs-latchkey';
import { SystemClock, type SessionStore } from 'nestjs-latchkey/engine';
import type { ApiKeyService } from 'nestjs-latchkey/flows';
import { withAuthPaths } from 'nestjs-latchkey/openapi';
import { redisEngine } from 'nestjs-latchkey/redis';
import { FrozenClock, startEmbeddedPostgres, type EmbeddedPostgres } from 'nestjs-latchkey/testing';

declare module 'nestjs-latchkey' {
  interface AuthUser {
    plan?: string;
  }
}

export const auth: DynamicModule = AuthModule.forRoot({
  secrets: ['a secret that is long enough: 0123456789'],
  engine: redisEngine({ url: 'redis://127.0.0.1:6379' }),
});

export function planOf(user: AuthUser): string | undefined {
  return user.plan;
}

export const now: number = new SystemClock().now();
export const documented: typeof withAuthPaths = withAuthPaths;
export const server: () => Promise<EmbeddedPostgres> = () => startEmbeddedPostgres({ settings: { fsync: 'off' } });
export const clock: { now(): number } = new FrozenClock();
export type Used = [SessionStore, UserDirectory, ApiKeyService];

// Negative control: the types are there, and not `any`.
// @ts-expect-error: there is no such option
AuthModule.forRoot({ secrets: [], nonsense: true });
// @ts-expect-error: an engine is no number
AuthModule.forRoot({ secrets: [], engine: 1 });
// @ts-expect-error: no such setting
void startEmbeddedPostgres({ nonsense: true });
// @ts-expect-error: no such field, whatever Nest's own types allow beside it
CurrentUser(1);
