import { Injectable } from '@nestjs/common';
import { WayIn } from '../login/ways-in.js';

/** Whoever has the mailbox of the account can ask for a link. */
@Injectable()
export class MagicLinkWayIn extends WayIn {
  override async isOpenTo(): Promise<boolean> {
    return true;
  }
}
