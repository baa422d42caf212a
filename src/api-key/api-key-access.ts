import { Injectable } from '@nestjs/common';
import { GrantedAccess } from '../login/mailbox-proofs.js';
import { ApiKeyService } from './api-key.service.js';

/** Whoever takes an account over, takes it without its API keys. */
@Injectable()
export class ApiKeyAccess extends GrantedAccess {
  constructor(private readonly keys: ApiKeyService) {
    super();
  }

  override drop(userId: string): Promise<unknown> {
    return this.keys.revokeAllForUser(userId);
  }
}
