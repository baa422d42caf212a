import type { ExecutionContext } from '@nestjs/common';
import type { AuthenticatedApiKey } from '../api-key/api-key.js';
import type { AuthenticatedSession } from '../session/session.js';

/** What an authenticated request carries for the decorators. */
export interface RequestAuth extends AuthenticatedSession {
  /** How the token was sent: in the browser's cookie, or as `Authorization: Bearer`. */
  readonly transport: 'cookie' | 'bearer';
}

/** The part of a request that is read here; Express, Fastify and a WebSocket handshake all have it. */
export interface AuthRequest {
  headers: Record<string, string | string[] | undefined>;
  method?: string;
  url?: string;
  socket?: { remoteAddress?: string };
  /** Node: true for a WebSocket handshake that the server accepts; the headers of another request cannot claim it. */
  upgrade?: unknown;
  /** Fastify: Node's own request. */
  raw?: object;
  /** Express: the response to this request. */
  res?: object;
  [AUTH]?: RequestAuth | undefined;
}

/** The parts of a request that are read, as Express and Fastify have them. */
export type HttpRequest = Pick<AuthRequest, 'headers'> & object;

const AUTH = Symbol('nestjs-latchkey.auth');

/** The context of an operation in graphql-ws. */
interface SubscriptionContext {
  extra?: { request?: AuthRequest };
  connectionParams?: unknown;
}

interface GraphQLContext extends SubscriptionContext {
  /** For a subscription, Nest's drivers for Apollo put the context of graphql-ws here. */
  req?: AuthRequest & SubscriptionContext;
  request?: AuthRequest;
  res?: unknown;
  reply?: unknown;
}

interface SocketClient {
  /** socket.io */
  handshake?: AuthRequest & { auth?: unknown };
  /**
   * ws, if the application's adapter or gateway keeps the upgrade request on the client, as older versions of ws did
   */
  upgradeReq?: AuthRequest;
  request?: AuthRequest;
}

/**
 * The request that carries the credentials: the HTTP request itself, the one in a GraphQL context (`req`, `request` or,
 * for graphql-ws subscriptions, `extra.request`), or the handshake of a WebSocket. `null` if there is none, as for a
 * message from a broker; nobody is authenticated then.
 */
export function requestOf(context: ExecutionContext): AuthRequest | null {
  const request = candidateOf(context);
  if (!request || typeof request !== 'object' || typeof request.headers !== 'object' || request.headers === null) {
    return null;
  }
  const params = paramsOf(context);
  if (params !== undefined) presentToken(request, params);
  return request;
}

/** What a socket's client sent outside the headers of its handshake, since a browser cannot set any. */
function paramsOf(context: ExecutionContext): unknown {
  switch (context.getType<string>()) {
    case 'ws':
      return context.switchToWs().getClient<SocketClient | undefined>()?.handshake?.auth;
    case 'graphql':
      return subscriptionIn(context.getArgByIndex<GraphQLContext | undefined>(2))?.connectionParams;
    default:
      return undefined;
  }
}

/** The context of graphql-ws, wherever the application's or Nest's own `context` has put it. */
function subscriptionIn(graphql: GraphQLContext | undefined): SubscriptionContext | undefined {
  return [graphql, graphql?.req].find((context) => context?.extra?.request);
}

const presentedTokens = new WeakMap<object, string>();

/** Remembers the bearer token in socket.io's `auth` or graphql-ws's `connectionParams`, or that there is none. */
export function presentToken(request: AuthRequest, params: unknown): void {
  const { token, authorization, Authorization } = Object(params) as Record<string, unknown>;
  const found = [token, authorization, Authorization].find((value) => typeof value === 'string');
  if (found === undefined) presentedTokens.delete(request);
  else presentedTokens.set(request, found.replace(/^bearer +/i, ''));
}

/** The token that `presentToken` remembered. */
export function presentedToken(request: AuthRequest): string | undefined {
  return presentedTokens.get(request);
}

function candidateOf(context: ExecutionContext): AuthRequest | null | undefined {
  switch (context.getType<string>()) {
    case 'http':
      return context.switchToHttp().getRequest<AuthRequest>();
    case 'graphql': {
      const graphql = context.getArgByIndex<GraphQLContext | undefined>(2);
      return [graphql?.req, graphql?.request, subscriptionIn(graphql)?.extra?.request].find(
        (request) => request?.headers,
      );
    }
    case 'ws': {
      const client = context.switchToWs().getClient<SocketClient | undefined>();
      // socket.io also has the upgrade request itself, whose socket knows the client's address.
      return [client?.request, client?.handshake, client?.upgradeReq].find((request) => request?.headers);
    }
    default:
      return null;
  }
}

/**
 * Whether the request is the handshake of a socket, which outlives many messages: its token has been held since then
 * and is not presented now. A header cannot claim it.
 */
export function isHandshake(context: ExecutionContext): boolean {
  switch (context.getType<string>()) {
    case 'ws':
      return true;
    case 'graphql': {
      const graphql = context.getArgByIndex<GraphQLContext | undefined>(2);
      const request = requestOf(context);
      return request !== null && (request === subscriptionIn(graphql)?.extra?.request || isUpgraded(request));
    }
    default:
      return false;
  }
}

function isUpgraded(request: AuthRequest): boolean {
  const { upgrade } = (request.raw ?? request) as { upgrade?: unknown };
  return upgrade === true;
}

/** The response to set headers on, or `null` if there is none (sockets, brokers, some GraphQL set-ups). */
export function responseOf(context: ExecutionContext): object | null {
  switch (context.getType<string>()) {
    case 'http':
      return context.switchToHttp().getResponse<object>();
    case 'graphql': {
      const graphql = context.getArgByIndex<GraphQLContext | undefined>(2);
      const response = graphql?.res ?? graphql?.reply ?? requestOf(context)?.res;
      return typeof response === 'object' ? response : null;
    }
    default:
      return null;
  }
}

/** What the guard found for this request, or `null`. */
export function authOf(request: AuthRequest | null): RequestAuth | null {
  return request?.[AUTH] ?? null;
}

export function attachAuth(request: AuthRequest, auth: RequestAuth | null): void {
  request[AUTH] = auth ?? undefined;
}

/** After a login or logout, when the request no longer belongs to whom it did. */
export function forgetAuth(request: AuthRequest): void {
  request[AUTH] = undefined;
  lookups.delete(request);
}

const apiKeys = new WeakMap<object, AuthenticatedApiKey>();

/** The API key that came with this request, or `null`. Which handlers it may reach is another question. */
export function apiKeyAuthOf(request: AuthRequest | null): AuthenticatedApiKey | null {
  return (request && apiKeys.get(request)) ?? null;
}

export function attachApiKey(request: AuthRequest, found: AuthenticatedApiKey | null): void {
  if (found) apiKeys.set(request, found);
  else apiKeys.delete(request);
}

type Lookup = Promise<RequestAuth | null>;

const lookups = new WeakMap<object, Lookup>();

/**
 * The lookup for this request, if there has been one. All handlers that one request reaches share it, however many
 * fields a GraphQL document has and whatever its outcome. A socket's handshake outlives many messages: there, fields of
 * one operation that are resolved at the same time share a lookup in progress, and later ones look again.
 */
export function lookupOf(context: ExecutionContext, request: AuthRequest): Lookup | undefined {
  const key = isHandshake(context) ? operationOf(context) : request;
  return key ? lookups.get(key) : undefined;
}

export function rememberLookup(context: ExecutionContext, request: AuthRequest, lookup: Lookup): void {
  if (!isHandshake(context)) return void lookups.set(request, lookup);
  const operation = operationOf(context);
  if (!operation) return;
  lookups.set(operation, lookup);
  const forget = () => void lookups.delete(operation);
  lookup.then(forget, forget);
}

/** As `lookupOf`, for a call without a context. */
export function askedFor(request: AuthRequest): Lookup | undefined {
  return isUpgraded(request) ? undefined : lookups.get(request);
}

/**
 * As `rememberLookup`, for a call without a context. A live session is forgotten as soon as it is found, since the
 * handler may end it, and so is a fault; whoever has no session costs one lookup, however many fields ask.
 */
export function shareLookup(request: AuthRequest, lookup: Lookup): void {
  if (isUpgraded(request)) return;
  lookups.set(request, lookup);
  const forget = () => void (lookups.get(request) === lookup && lookups.delete(request));
  lookup.then((found) => found && forget(), forget);
}

function operationOf(context: ExecutionContext): object | null {
  return context.getType<string>() === 'graphql' ? context.getArgByIndex<object>(2) : null;
}

/** One header as text; a list is joined as RFC 9110 5.2 joins repeated fields. */
export function headerOf(request: AuthRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

/** A header for the log or an error: without control characters, and cut to a bounded length. */
export function printable(header: string): string {
  return header.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 100);
}
