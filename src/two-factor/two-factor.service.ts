import { Injectable } from '@nestjs/common';
import { EnrolledFactors } from '../login/enrolled-factors.js';
import type { AuthUser } from '../user/user.directory.js';

/** The second factors of a user. */
export interface TwoFactorStatus {
  /** The methods that the user is asked for. */
  readonly methods: readonly string[];
}

/** Second factors: who has which, and how they get and lose them. */
@Injectable()
export class TwoFactorService {
  constructor(private readonly factors: EnrolledFactors) {}

  /**
   * What this user has.
   *
   * @throws {AuthError} `STORE_UNAVAILABLE` if the storage or a factor did not answer.
   */
  async statusOf(user: AuthUser): Promise<TwoFactorStatus> {
    return { methods: await this.factors.methodsOf(user) };
  }
}
