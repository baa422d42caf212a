import { Catch, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { throwError } from 'rxjs';
import { SampledLogger } from '../common/sampled-logger.js';
import { AuthError, isAuthError, type AuthErrorBody, type AuthErrorCode } from '../auth.errors.js';
import { AuthConfig } from '../config/auth-config.js';
import { headerOf, type AuthRequest } from './auth-request.js';

/**
 * Answers every `AuthError` with `{ statusCode, code, message }`, plus `fields` for wrong input, and with what a step-up
 * has to prove for `STEP_UP_REQUIRED` (RFC 9470). A fault is logged with
 * its cause, which the client does not see. A browser that asks for a page may be redirected instead, see `loginPage`
 * and `@RedirectIfAuthenticated`.
 *
 * - GraphQL gets the code in `extensions`.
 * - The client of a microservice in a hybrid application gets it in the error; over gRPC with a gRPC status.
 * - Nest applies no global filter to gateways: put `@UseFilters(AuthErrorFilter)` there, and a socket gets an
 *   `exception` event with the code.
 *
 * The module registers it for the whole application. If you have a filter that catches everything, delegate to it.
 *
 * @example
 * ```ts
 * @Catch()
 * export class EverythingFilter implements ExceptionFilter {
 *   constructor(private readonly authErrors: AuthErrorFilter) {}
 *
 *   catch(error: unknown, host: ArgumentsHost) {
 *     if (error instanceof AuthError) return this.authErrors.catch(error, host);
 *     throw error;
 *   }
 * }
 * ```
 */
@Catch(AuthError)
export class AuthErrorFilter implements ExceptionFilter<AuthError> {
  private readonly logger = new SampledLogger();

  constructor(
    private readonly adapterHost: HttpAdapterHost,
    private readonly config: AuthConfig,
  ) {}

  /** Answers this error in the way of its transport. It never throws; if the headers have been sent it only logs. */
  catch(error: AuthError, host: ArgumentsHost): unknown {
    const status = error.getStatus();
    const body = error.getResponse();
    if (status >= 500) this.logger.error(`${error.code}: ${error.message}${causeOf(error)}`);
    const type = host.getType<string>();
    if (type === 'ws') return this.answerSocket(host, { status: 'error', ...body });
    // GraphQL treats a returned error as a thrown one, and shows its extensions.
    if (type === 'graphql') {
      const details = isAuthError(error, 'STEP_UP_REQUIRED') ? error.facts : {};
      const extensions = { code: error.code, statusCode: status, ...details };
      return Object.assign(new Error(body.message), { extensions });
    }
    if (type === 'rpc') return throwError(() => (isGrpc(host) ? grpcError(body) : { status: 'error', ...body }));
    if (type !== 'http') return undefined;

    const response = host.switchToHttp().getResponse<object>();
    const adapter = this.adapterHost.httpAdapter;
    if (adapter.isHeadersSent(response)) return undefined;
    adapter.setHeader(response, 'Cache-Control', 'no-store');
    const page = this.pageFor(error, status, host.switchToHttp().getRequest<AuthRequest>());
    if (page?.by === 'htmx') adapter.setHeader(response, 'HX-Redirect', page.location);
    if (page?.by === 'browser') return adapter.redirect(response, 303, page.location);
    if (status === 401 || lacksScope(error)) adapter.setHeader(response, 'WWW-Authenticate', challengeOf(error));
    if (isAuthError(error, 'HASHER_OVERLOADED') || isAuthError(error, 'RATE_LIMITED')) {
      adapter.setHeader(response, 'Retry-After', String(error.facts.retryAfter));
    }
    return adapter.reply(response, body, status);
  }

  /** Where to send a browser instead of showing it an error. With 303: after a 302 it might repeat a POST. */
  private pageFor(
    error: AuthError,
    status: number,
    request: AuthRequest,
  ): { by: 'htmx' | 'browser'; location: string } | undefined {
    const location = isAuthError(error, 'ALREADY_AUTHENTICATED')
      ? error.facts.redirectTo
      : status === 401 && !STAYS.has(error.code) && this.config.loginPage;
    if (!location) return undefined;
    if (headerOf(request, 'hx-request') === 'true') return { by: 'htmx', location };
    return headerOf(request, 'accept')?.includes('text/html') ? { by: 'browser', location } : undefined;
  }

  /** As Nest's own filter does: an `exception` event, by `emit` with socket.io, as a message on a plain WebSocket. */
  private answerSocket(host: ArgumentsHost, data: object): void {
    const client = host.switchToWs().getClient<SocketClient>();
    if (client.handshake) client.emit?.('exception', data);
    else client.send?.(JSON.stringify({ event: 'exception', data }));
  }
}

/** Those of 401 for which another login would not help. */
const STAYS: ReadonlySet<AuthErrorCode> = new Set(['INVALID_CREDENTIALS', 'STEP_UP_REQUIRED']);

/** RFC 6750, section 3.1: an API key without the scope of the handler. */
const lacksScope = (error: AuthError): error is AuthError<'FORBIDDEN'> =>
  isAuthError(error, 'FORBIDDEN') && (error.facts.scopes ?? []).length > 0;

/** RFC 9470, section 3: each parameter only where that is what is lacking. */
function challengeOf(error: AuthError): string {
  if (lacksScope(error)) return `Bearer error="insufficient_scope", scope="${error.facts.scopes!.join(' ')}"`;
  if (!isAuthError(error, 'STEP_UP_REQUIRED')) return 'Bearer';
  const { aal, maxAge } = error.facts.required;
  const parameters = [
    'error="insufficient_user_authentication"',
    `error_description="${error.getResponse().message}"`,
    ...(aal === undefined ? [] : [`acr_values="urn:latchkey:aal:${aal}"`]),
    ...(maxAge === undefined ? [] : [`max_age="${maxAge}"`]),
  ];
  return `Bearer ${parameters.join(', ')}`;
}

/** The gRPC status for an HTTP status (google.rpc.Code); any other is `INTERNAL`. */
const GRPC_STATUS: Readonly<Record<number, number>> = { 401: 16, 403: 7, 404: 5, 422: 3, 429: 8, 503: 14 };
const GRPC_INTERNAL = 13;

/** The error that grpc-js expects: a numeric code, and a message, which here begins with our code. */
function grpcError({ statusCode, code, message }: AuthErrorBody): object {
  return { code: GRPC_STATUS[statusCode] ?? GRPC_INTERNAL, message: `${code}: ${message}` };
}

/** Nest calls every microservice `rpc`; only with gRPC is the second argument the metadata of grpc-js. */
function isGrpc(host: ArgumentsHost): boolean {
  const metadata = host.getArgByIndex<{ toHttp2Headers?: unknown } | undefined>(1);
  return typeof metadata?.toHttp2Headers === 'function';
}

interface SocketClient {
  handshake?: object;
  emit?: (event: string, data: object) => void;
  send?: (message: string) => void;
}

function causeOf(error: Error): string {
  return error.cause instanceof Error ? ` (cause: ${error.cause.message})` : '';
}
