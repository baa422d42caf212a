import type { NextFunction, Request, Response } from 'express';
import { AuthError } from '../auth.errors.js';

/**
 * Express only: a login body that is not JSON is answered 422 like any other wrong body. body-parser would quote a piece
 * of it in its message, and with it the password. Fastify quotes nothing.
 */
export function bodyParseErrors(path: string) {
  const routes = new RegExp(`/${path.replaceAll(/^\/+|\/+$/g, '').replaceAll(/[^\w/-]/g, '.')}/(login|token)/?$`, 'i');
  // Four parameters make it an error handler.
  return (error: unknown, request: Request, _response: Response, next: NextFunction): void => {
    const isUnreadable = (error as { type?: unknown } | null)?.type === 'entity.parse.failed';
    const isOurs = isUnreadable && routes.test(decoded(request.originalUrl.split('?')[0]!));
    const fields = { body: 'must be a JSON object' };
    next(isOurs ? new AuthError('INVALID_INPUT', 'Not a login: the body is not JSON.', { fields }) : error);
  };
}

/** The router decodes the path, so `/auth/logi%6e` is the same route. */
function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
