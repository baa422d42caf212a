import { answerOf, BEARER, COOKIE, refTo } from './auth-components.js';
import { errorsIn, errorsOf, type ErrorName } from './auth-errors.js';
import { authPaths } from './auth-paths.js';
import type { Description } from './description.js';
import type { MountedRoute } from './mounted-routes.js';
import type { Names, Naming } from './names.js';
import type { RouteFacts } from './route-facts.js';

export const AUTH_TAG = { name: 'auth', description: 'Login, logout and the sessions of the user.' };

export type Operation = Readonly<Record<string, unknown>>;

function header(description: string, schema: object, isAlways = true): object {
  return { description, ...(isAlways && { required: true }), schema };
}
const TEXT = { type: 'string' };
const SECONDS = { type: 'integer', minimum: 0 };

/** The operation of one route. */
export function authOperation(route: MountedRoute, facts: RouteFacts, names: Names): Operation {
  const described = authPaths[route.handler];
  const { id, summary, description, takes, status = 200, parameters = [] } = described;
  const known = errorsOf(facts);
  const json = (name: string) => ({ 'application/json': { schema: { $ref: refTo(names.schema(name)) } } });
  return {
    operationId: names.operation(route.nth === 1 ? id : `${id}${route.nth}`),
    summary,
    description,
    tags: [AUTH_TAG.name],
    security: securityOf(described, names.scheme),
    parameters: [...pathParameters(route), ...versionParameters(route), ...parameters],
    ...(takes && { requestBody: { required: true, content: json(takes) } }),
    responses: {
      ...(described.answer && {
        [status]: {
          description: described.done,
          headers: headersOf(described, facts),
          content: json(answerOf(described.answer, facts)),
        },
      }),
      ...(described.leads !== undefined && {
        303: {
          description: described.leads,
          headers: { ...headersOf(described, facts), Location: header('Where to.', TEXT) },
        },
      }),
      ...(isSentToLogin(described, facts) &&
        described.leads === undefined && {
          303: {
            description: 'For a browser that asks for a page and has no live session: to the login page.',
            headers: { ...NO_STORE, ...setCookie(facts, false), Location: header('The login page.', TEXT) },
          },
        }),
      ...Object.fromEntries(
        errorsIn(described, facts).map((name) => {
          const { status, description: what } = known[name];
          return [status, { description: what, headers: errorHeadersOf(name, described, facts), content: json(name) }];
        }),
      ),
    },
  };
}

function securityOf({ session }: Description, named: Naming): object[] {
  const either = [{ [named(COOKIE)]: [] }, { [named(BEARER)]: [] }];
  if (session === 'none') return [];
  return session === 'optional' ? [...either, {}] : either;
}

function isSentToLogin({ session }: Description, { hasLoginPage }: RouteFacts): boolean {
  return session === 'needed' && hasLoginPage;
}

const NO_STORE = { 'Cache-Control': header('No cache keeps it.', { ...TEXT, enum: ['no-store'] }) };

/** draft-ietf-httpapi-ratelimit-headers-11. */
const limits = (isAlways: boolean) => ({
  RateLimit: header('What is left of each limit, and until when.', TEXT, isAlways),
  'RateLimit-Policy': header('The limits.', TEXT, isAlways),
});

function headersOf({ cookie, limited, clears }: Description, facts: RouteFacts): object {
  const isAlways = cookie === 'set';
  return {
    ...NO_STORE,
    ...(limited && limits(limited !== 'sometimes')),
    ...(cookie === 'flow' && {
      'Set-Cookie': header('Ties what was asked for to this browser. It is HttpOnly.', TEXT),
    }),
    ...((cookie === 'set' || cookie === 'renewed') && setCookie(facts, isAlways)),
    ...(clears && facts.clearsSiteData && { 'Clear-Site-Data': header('What the browser forgets.', TEXT, isAlways) }),
  };
}

function errorHeadersOf(name: ErrorName, described: Description, facts: RouteFacts): object {
  return {
    // The adapter's own answer.
    ...(name !== 'AuthBodyTooLarge' && NO_STORE),
    // The origin is checked before a session is looked up, and from then on its cookie may be renewed.
    ...(described.session === 'needed' && name !== 'AuthCrossOrigin' && setCookie(facts, false)),
    // The origin is checked before the limits too, and a body that cannot be parsed is refused before both.
    ...(described.limited && !UNLIMITED.has(name) && limits(name === 'AuthRateLimited')),
    ...(UNAUTHORIZED.has(name) && {
      'WWW-Authenticate': header('How to authenticate.', {
        ...TEXT,
        ...(!ASKS_FOR_MORE.has(name) && { enum: ['Bearer'] }),
      }),
    }),
    ...(WITHOUT_SESSION.has(name) &&
      isSentToLogin(described, facts) && { 'HX-Redirect': header('The login page, for htmx.', TEXT, false) }),
    ...(name === 'AuthRateLimited' && { 'Retry-After': header('The seconds to wait, rounded up.', SECONDS) }),
    ...(HASHES.has(name) && {
      'Retry-After': header('The seconds to wait, with HASHER_OVERLOADED.', SECONDS, false),
    }),
  };
}
const WITHOUT_SESSION: ReadonlySet<ErrorName> = new Set([
  'AuthUnauthenticated',
  'AuthNotFresh',
  'AuthNotKept',
  'AuthProofRefused',
  'AuthFactorRefused',
  'AuthEnrolmentRefused',
  'AuthPasswordRefused',
]);
const UNAUTHORIZED: ReadonlySet<ErrorName> = new Set([
  ...WITHOUT_SESSION,
  'AuthInvalidCredentials',
  'AuthSecondFactorRefused',
  'AuthLoginExpired',
]);
/** RFC 9470: what is asked for stands beside the scheme. */
const ASKS_FOR_MORE: ReadonlySet<ErrorName> = new Set([
  'AuthNotFresh',
  'AuthNotKept',
  'AuthPasswordRefused',
  'AuthEnrolmentRefused',
]);
const UNLIMITED: ReadonlySet<ErrorName> = new Set(['AuthCrossOrigin', 'AuthBodyTooLarge']);
const HASHES: ReadonlySet<ErrorName> = new Set(['AuthLoginUnavailable', 'AuthPasswordUnavailable']);

function setCookie({ cookieName, announcesCookie }: RouteFacts, isAlways: boolean): object {
  const what = `Sets, renews or clears \`${cookieName}\`, the session cookie; a login also sets \`${cookieName}-device\`.`;
  return {
    'Set-Cookie': header(what, TEXT, isAlways),
    ...(announcesCookie && {
      'X-Auth-Cookie-Set': header('The session cookie is in this answer.', { ...TEXT, enum: ['1'] }, isAlways),
    }),
  };
}

function pathParameters({ path }: MountedRoute): object[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    ...(name === 'handle' && { description: 'The `handle` of a session, from the list of sessions.' }),
    ...(name === 'id' && { description: 'The `id` from the list.' }),
    schema: TEXT,
  }));
}

function versionParameters({ versionHeader }: MountedRoute): object[] {
  if (!versionHeader) return [];
  const { name, versions, isRequired } = versionHeader;
  return [{ name, in: 'header', required: isRequired, schema: { ...TEXT, enum: versions } }];
}
