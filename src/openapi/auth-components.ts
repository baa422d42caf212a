import { z } from 'zod';
import { errorsIn, errorsOf, type ErrorName } from './auth-errors.js';
import { authPaths } from './auth-paths.js';
import { BODIES, SCHEMAS, type SchemaName } from './auth-schemas.js';
import type { Description } from './description.js';
import type { MountedRoute } from './mounted-routes.js';
import type { Naming } from './names.js';
import type { RouteFacts } from './route-facts.js';

/** The security schemes by their names. */
export function authSecuritySchemes(
  { cookieName, takesJwts, takesApiKeys }: RouteFacts,
  named: Naming,
): Record<string, object> {
  return {
    [named(COOKIE)]: {
      type: 'apiKey',
      in: 'cookie',
      name: cookieName,
      description: 'The session cookie. It is HttpOnly: the browser keeps and sends it.',
    },
    [named(BEARER)]: {
      type: 'http',
      scheme: 'bearer',
      ...(takesJwts && { bearerFormat: 'JWT' }),
      description: 'The bearer token of a session. It counts if there is no live session in the cookie.',
    },
    // None of our routes takes one: for handlers of the application.
    ...(takesApiKeys && {
      [named(API_KEY)]: {
        type: 'http',
        scheme: 'bearer',
        bearerFormat: 'lk_',
        description: 'An API key of a user, for handlers that take keys with one of its scopes.',
      },
    }),
  };
}
export const COOKIE = 'authCookie';
export const BEARER = 'authBearer';
const API_KEY = 'authApiKey';

/** The schemas of bodies and answers of these routes by their names, in the dialect of this version of OpenAPI. */
export function authSchemas(
  routes: readonly MountedRoute[],
  facts: RouteFacts,
  version: '3.0' | '3.1',
  named: Naming,
): Record<string, object> {
  const descriptions = routes.map(({ handler }) => authPaths[handler]);
  const used = new Set<SchemaName | ErrorName>(partsOf(facts));
  for (const one of descriptions) for (const name of [...namesOf(one, facts), ...errorsIn(one, facts)]) used.add(name);
  const errors = errorsOf(facts);
  const registry = z.registry<{ id: string }>();
  for (const id of new Set(descriptions.flatMap(({ takes }) => takes ?? []))) registry.add(BODIES[id](facts), { id });
  for (const id of used)
    registry.add(id in errors ? errors[id as ErrorName].schema : SCHEMAS[id as SchemaName], { id });
  const { schemas } = z.toJSONSchema(registry, {
    target: version === '3.0' ? 'openapi-3.0' : 'draft-2020-12',
    // What a client sends, and answers that may gain fields.
    io: 'input',
    uri: (id) => refTo(named(id)),
    override: ({ jsonSchema }) => {
      // The format says it, and no reader needs to see the leap years.
      if (jsonSchema.format === 'date-time') delete jsonSchema.pattern;
    },
  });
  return Object.fromEntries(
    Object.entries(schemas).map(([id, { $id: _id, $schema: _schema, ...schema }]) => [named(id), schema]),
  );
}

/** What answers are made of. */
function partsOf({ listsKinds, asksSecondFactor, takesApiKeys }: RouteFacts): readonly SchemaName[] {
  return [
    'AuthUser',
    'AuthSession',
    ...(takesApiKeys ? (['AuthApiKey'] as const) : []),
    ...(listsKinds ? (['AuthSessionOfKind'] as const) : []),
    ...(asksSecondFactor ? (['AuthLogin', 'AuthToken', 'AuthSecondFactorDue', 'AuthEnrolmentRequired'] as const) : []),
  ];
}

export function answerOf(answer: SchemaName, { listsKinds, asksSecondFactor }: RouteFacts): SchemaName {
  if (asksSecondFactor && answer === 'AuthLogin') return 'AuthLoginStep';
  if (asksSecondFactor && answer === 'AuthMagicLinkLogin') return 'AuthMagicLinkStep';
  if (asksSecondFactor && answer === 'AuthToken') return 'AuthTokenStep';
  if (asksSecondFactor && answer === 'AuthProviderSession') return 'AuthProviderStep';
  return answer === 'AuthSessions' && listsKinds ? 'AuthSessionsOfKind' : answer;
}

export const refTo = (name: string) => `#/components/schemas/${name}`;

function namesOf({ answer }: Description, facts: RouteFacts): SchemaName[] {
  return answer === undefined ? [] : [answerOf(answer, facts)];
}
