import { Injectable } from '@nestjs/common';
import { WayIn } from '../login/ways-in.js';
import type { AuthUser } from '../user/user.directory.js';
import { PasskeyStore } from './passkey.store.js';

/** The login by passkey. What a thief has added goes with the second factors: a passkey is one of them. */
@Injectable()
export class PasskeyWayIn extends WayIn {
  constructor(private readonly passkeys: PasskeyStore) {
    super();
  }

  override async isOpenTo({ id }: AuthUser, without: string): Promise<boolean> {
    return (await this.passkeys.listByUser(id)).some((passkey) => passkey.id !== without);
  }
}
