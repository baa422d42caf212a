import { Catch, Logger, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { AuthError, isAuthError, type AuthErrorCode } from '../auth.errors.js';

/** The one table from code to HTTP. The message is for the client; the error's own, for the operator, may say more. */
const ANSWERS: Record<AuthErrorCode, { status: number; message: string }> = {
  UNAUTHENTICATED: { status: 401, message: 'Authentication required.' },
  INVALID_CREDENTIALS: { status: 401, message: 'Wrong e-mail address or password.' },
  CROSS_ORIGIN_REQUEST: { status: 403, message: 'Requests from this origin are not accepted.' },
  SESSION_NOT_FOUND: { status: 404, message: 'You have no such session.' },
  USER_NOT_FOUND: { status: 404, message: 'There is no such user.' },
  INVALID_INPUT: { status: 422, message: 'The request is not valid.' },
  RATE_LIMITED: { status: 429, message: 'Too many requests. Try again later.' },
  INVALID_CONFIG: { status: 500, message: 'Internal server error.' },
  SETUP_INCOMPLETE: { status: 503, message: 'Setup not complete: no account exists yet.' },
  HASHER_OVERLOADED: { status: 503, message: 'Too many logins at once. Try again in a moment.' },
  SCHEMA_MISSING: { status: 503, message: 'Service temporarily unavailable.' },
  STORE_UNAVAILABLE: { status: 503, message: 'Service temporarily unavailable.' },
};

/**
 * Answers every `AuthError` with `{ statusCode, code, message }`, plus `fields` for wrong input. A fault is logged with
 * its cause; the client learns nothing of it. Outside HTTP the error goes on as it is, with its code.
 */
@Catch(AuthError)
export class AuthErrorFilter implements ExceptionFilter<AuthError> {
  private readonly logger = new Logger('Auth');

  constructor(private readonly adapterHost: HttpAdapterHost) {}

  catch(error: AuthError, host: ArgumentsHost): unknown {
    const { status, message } = ANSWERS[error.code];
    if (status >= 500) this.logger.error(`${error.code}: ${error.message}${causeOf(error)}`);

    const body = { statusCode: status, code: error.code, message };
    if (host.getType() === 'ws') return this.answerSocket(host, { status: 'error', ...body });
    if (host.getType() !== 'http') return undefined;

    const response = host.switchToHttp().getResponse<object>();
    const adapter = this.adapterHost.httpAdapter;
    if (adapter.isHeadersSent(response)) return undefined;
    adapter.setHeader(response, 'Cache-Control', 'no-store');
    if (status === 401) adapter.setHeader(response, 'WWW-Authenticate', 'Bearer');
    if (isAuthError(error, 'HASHER_OVERLOADED') || isAuthError(error, 'RATE_LIMITED')) {
      adapter.setHeader(response, 'Retry-After', String(error.facts.retryAfter));
    }
    return adapter.reply(response, isAuthError(error, 'INVALID_INPUT') ? { ...body, ...error.facts } : body, status);
  }

  /** As Nest's own filter does: an `exception` event. */
  private answerSocket(host: ArgumentsHost, body: object): void {
    host.switchToWs().getClient<{ emit?: (event: string, body: object) => void }>().emit?.('exception', body);
  }
}

function causeOf(error: Error): string {
  return error.cause instanceof Error ? ` (cause: ${error.cause.message})` : '';
}
