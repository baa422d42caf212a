import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { currentSession } from '../http/auth.decorators.js';
import { StepUpMethods } from '../login/step-up-methods.js';

/**
 * For pages with power over other accounts: an operator who has a second factor must have proved it in this session, which
 * a login in a trusted browser has left out. After the guard of sessions.
 */
@Injectable()
export class OperatorGuard implements CanActivate {
  constructor(private readonly stepUps: StepUpMethods) {}

  /** @throws {AuthError} `STEP_UP_REQUIRED` if the session has proved less than its account can. */
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const session = currentSession(context);
    if (session) await this.stepUps.demandMost(session);
    return session !== null;
  }
}
