import { Injectable } from '@nestjs/common';
import { isApiKey, type AuthenticatedApiKey } from '../api-key/api-key.js';
import { ApiKeyService } from '../api-key/api-key.service.js';
import { asAuthError } from '../auth.errors.js';
import { attachApiKey, headerOf, type AuthRequest } from './auth-request.js';
import { ClientIp } from './client-ip.js';

const BEARER = /^bearer +(\S+)$/i;

/** The API keys of requests: `Authorization: Bearer lk_…`, never a cookie, a query or what a socket's client sends. */
@Injectable()
export class ApiKeyAuthenticator {
  private readonly lookups = new WeakMap<object, Promise<AuthenticatedApiKey | null>>();

  constructor(
    private readonly keys: ApiKeyService,
    private readonly clientIp: ClientIp,
  ) {}

  /** What is spelled like an API key in the header. Such a request is the key's, whatever cookie it brings. */
  presentedBy(request: AuthRequest): string | null {
    const token = BEARER.exec(headerOf(request, 'authorization') ?? '')?.[1];
    return token !== undefined && isApiKey(token) ? token : null;
  }

  /** The live key and its owner, looked up once for all handlers that one request reaches. */
  authenticate(request: AuthRequest, key: string): Promise<AuthenticatedApiKey | null> {
    const known = this.lookups.get(request);
    if (known) return known;
    const lookup = this.lookUp(request, key);
    this.lookups.set(request, lookup);
    return lookup;
  }

  /** Throws `FORBIDDEN` unless the key has this scope. */
  requireScope(request: AuthRequest, { apiKey }: AuthenticatedApiKey, scope: string): void | Promise<void> {
    if (apiKey.scopes.includes(scope)) return;
    return this.keys.requireScope(apiKey, scope, { ip: this.clientIp.of(request) });
  }

  private async lookUp(request: AuthRequest, key: string): Promise<AuthenticatedApiKey | null> {
    try {
      const found = await this.keys.authenticate(key, { ip: this.clientIp.of(request) });
      attachApiKey(request, found);
      return found;
    } catch (error) {
      throw asAuthError(error, 'The lookup of the API key');
    }
  }
}
