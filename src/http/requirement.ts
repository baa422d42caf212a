import { SetMetadata } from '@nestjs/common';
import { AuthError } from '../auth.errors.js';
import type { Duration } from '../common/duration.js';
import type { LackingAssurance } from '../login/assurance.js';
import type { Session } from '../session/session.js';
import type { AuthUser } from '../user/user.directory.js';

/** @internal Metadata key of what a handler, or its class, asks of the caller. */
export const REQUIREMENTS = Symbol('nestjs-latchkey.requirements');

/**
 * @internal What a handler asks of the caller beyond a live session: returns the refusal, what a step-up would have to
 * prove, or `null`. Synchronous, since the caller is known.
 */
export type Requirement = (caller: Caller, at: RequiredAt) => AuthError | LackingAssurance | null;

/** @internal Who is asking. */
export interface Caller {
  readonly user: AuthUser;
  /** `null` for an API key. */
  readonly session: Session | null;
}

/** @internal A requirement of the session's proofs, which no API key meets. */
export function asksOfSession(lackOf: (session: Session, at: RequiredAt) => LackingAssurance | null) {
  return asks(({ session }, at) => {
    if (session) return lackOf(session, at);
    return new AuthError('FORBIDDEN', 'An API key proves nobody: a session is needed here.', { roles: [], scopes: [] });
  });
}

/** @internal The instant (epoch ms), and `flows.freshness`. */
export interface RequiredAt {
  readonly now: number;
  readonly freshness: Duration;
}

/** @internal One more requirement of a handler or class. */
export function asks(requirement: Requirement): MethodDecorator & ClassDecorator {
  return (target: object, key?: string | symbol, descriptor?: PropertyDescriptor) => {
    const marked = (descriptor?.value ?? target) as object;
    const others = (Reflect.getMetadata(REQUIREMENTS, marked) as Requirement[] | undefined) ?? [];
    // Decorators apply from the bottom up; this keeps the order in which they are written.
    SetMetadata(REQUIREMENTS, [requirement, ...others])(target, key!, descriptor!);
  };
}
