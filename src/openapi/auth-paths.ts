import { z } from 'zod';
import {
  CurrentAnswer,
  DoneAnswer,
  errorAnswer,
  LoginAnswer,
  LogoutAllAnswer,
  ReplacementAnswer,
  StepUpAnswer,
  StepUpStateAnswer,
  SecondFactorDoneAnswer,
  SecondFactorDueAnswer,
  SessionAnswer,
  SessionListAnswer,
  SessionOfKindAnswer,
  SessionOfKindListAnswer,
  TokenAnswer,
  UserAnswer,
} from '../http/answers.js';
import { EmailChangeBody, LinkBody } from '../http/flows/email-change.controller.js';
import { SecondFactorBody, SecondFactorRequestBody } from '../http/flows/second-factor.controller.js';
import { PasswordChangeBody } from '../http/flows/password-change.controller.js';
import {
  RegistrationBody,
  RegistrationConfirmationBody,
  RegistrationResendBody,
} from '../http/flows/registration.controller.js';
import { StepUpBody } from '../http/flows/step-up.controller.js';
import { ForgottenPasswordBody, PasswordResetBody } from '../http/flows/password-reset.controller.js';
import { loginBodySchema } from '../http/login-body.js';
import {
  API_KEY_BODIES,
  API_KEY_DESCRIPTIONS,
  API_KEY_ERRORS,
  API_KEY_SCHEMAS,
  API_KEY_SCHEME,
} from './api-key-paths.js';
import type { Handler, MountedRoute } from './mounted-routes.js';

/** What the configuration decides about the routes. */
export interface RouteFacts {
  readonly cookieName: string;
  /** Whether a login may ask to be remembered. */
  readonly remembers: boolean;
  /** Whether a bearer token may be a JWT. */
  readonly takesJwts: boolean;
  /** Whether handlers of the application may take API keys. */
  readonly takesApiKeys: boolean;
  /** Whether a list of sessions has the kind of each. */
  readonly listsKinds: boolean;
  /** Whether the cookie is a signed one, which is announced by a header. */
  readonly announcesCookie: boolean;
  readonly clearsSiteData: boolean;
  /** Whether a login may have a second step. */
  readonly asksSecondFactor: boolean;
  /** Whether a browser that is not logged in is sent to a page. */
  readonly hasLoginPage: boolean;
  /** Whether the user directory cannot end what is stored nowhere. */
  readonly cannotEndTokens: boolean;
}

export type Operation = Readonly<Record<string, unknown>>;

interface Description {
  readonly id: string;
  readonly summary: string;
  readonly description: string;
  /** Whether a session is needed, ended if there is one, or of no use. */
  readonly session: 'needed' | 'optional' | 'none';
  /**
   * Whether a right answer has `Set-Cookie` for the session: always, sometimes, or never; or always for a flow, which it
   * ties to this browser.
   */
  readonly cookie: 'set' | 'renewed' | 'none' | 'flow';
  /** Whether the requests of one client are limited, which every answer behind that limit says. */
  readonly limited?: boolean;
  /** Whether a right answer may empty the browser's store. */
  readonly clears?: boolean;
  /** What it takes. */
  readonly takes?: BodyName;
  readonly parameters?: readonly object[];
  /** The status of a right answer. Default 200. */
  readonly status?: number;
  /** What a right answer says, and its schema. */
  readonly done: string;
  readonly answer: SchemaName;
  readonly errors: readonly ErrorName[];
}

const EXTEND = {
  name: 'extend',
  in: 'query',
  description: 'With false the request does not count as use of the session: for a page that asks by itself.',
  schema: { type: 'boolean', default: true },
};

const LOGIN_ERRORS = [
  'AuthInvalidCredentials',
  'AuthCrossOrigin',
  'AuthBodyTooLarge',
  'AuthInvalidInput',
  'AuthRateLimited',
  'AuthLoginUnavailable',
] as const;

const LINK_ERRORS = [
  'AuthInvalidLink',
  'AuthCrossOrigin',
  'AuthBodyTooLarge',
  'AuthInvalidInput',
  'AuthRateLimited',
  'AuthUnavailable',
] as const;

/** By handler, so that a route without a description does not compile. */
const DESCRIPTIONS: Readonly<Record<Handler, Description>> = {
  ...API_KEY_DESCRIPTIONS,
  login: {
    id: 'authLogin',
    summary: 'Log in, with a cookie',
    description: 'Opens a session and sets its cookie. The session of a cookie that was sent along ends.',
    session: 'none',
    cookie: 'set',
    takes: 'AuthCredentials',
    done: 'Logged in.',
    answer: 'AuthLogin',
    errors: LOGIN_ERRORS,
  },
  token: {
    id: 'authToken',
    summary: 'Log in, with a bearer token',
    description:
      'Opens a session for a client without cookies. The session of a bearer token that was sent along ends.',
    session: 'none',
    cookie: 'none',
    takes: 'AuthCredentials',
    done: 'Logged in.',
    answer: 'AuthToken',
    errors: LOGIN_ERRORS,
  },
  logout: {
    id: 'authLogout',
    summary: 'Log out',
    description: 'Ends the session of every credential that was sent and clears the cookie. Repeating it is no error.',
    session: 'optional',
    cookie: 'set',
    clears: true,
    done: 'Logged out.',
    answer: 'AuthDone',
    errors: ['AuthCrossOrigin', 'AuthUnavailable'],
  },
  session: {
    id: 'authSession',
    summary: 'The current user and session',
    description: 'Who is logged in, and until when.',
    session: 'needed',
    cookie: 'renewed',
    parameters: [EXTEND],
    done: 'Logged in as this user.',
    answer: 'AuthCurrent',
    errors: ['AuthUnauthenticated', 'AuthUnavailable'],
  },
  list: {
    id: 'authSessions',
    summary: "The user's sessions",
    description: 'The live sessions of the user, the most recently used first.',
    session: 'needed',
    cookie: 'renewed',
    done: 'The sessions.',
    answer: 'AuthSessions',
    errors: ['AuthUnauthenticated', 'AuthUnavailable'],
  },
  revoke: {
    id: 'authRevoke',
    summary: 'End one session',
    description: "Ends one of the user's own sessions; if it is the current one, the cookie is cleared too.",
    session: 'needed',
    cookie: 'renewed',
    clears: true,
    done: 'The session has ended.',
    answer: 'AuthDone',
    errors: ['AuthUnauthenticated', 'AuthCrossOrigin', 'AuthSessionNotFound', 'AuthUnavailable'],
  },
  logoutAll: {
    id: 'authLogoutAll',
    summary: 'Log out everywhere',
    description: 'Ends every session and token of the user, the current one included, and clears the cookie.',
    session: 'needed',
    cookie: 'set',
    clears: true,
    done: 'Logged out everywhere.',
    answer: 'AuthLoggedOutEverywhere',
    errors: ['AuthUnauthenticated', 'AuthCrossOrigin', 'AuthUnsupported', 'AuthUnavailable'],
  },
  forgotPassword: {
    id: 'authForgotPassword',
    summary: 'Ask for a new password',
    description: 'Mails a link to the owner of the account. The answer is the same whatever the address is.',
    session: 'none',
    cookie: 'none',
    limited: true,
    takes: 'AuthForgottenPassword',
    status: 202,
    done: 'If there is such an account, a mail is on its way.',
    answer: 'AuthDone',
    errors: ['AuthCrossOrigin', 'AuthBodyTooLarge', 'AuthInvalidInput', 'AuthRateLimited', 'AuthUnavailable'],
  },
  resetPassword: {
    id: 'authResetPassword',
    summary: 'Choose a new password by a mailed link',
    description: 'Ends every session and token of the account. It opens no session: the user logs in.',
    session: 'none',
    cookie: 'none',
    limited: true,
    takes: 'AuthPasswordReset',
    done: 'The password has been changed.',
    answer: 'AuthDone',
    errors: [
      'AuthInvalidLink',
      'AuthCrossOrigin',
      'AuthBodyTooLarge',
      'AuthWeakPassword',
      'AuthRateLimited',
      'AuthUnsupported',
      'AuthPasswordUnavailable',
    ],
  },
  register: {
    id: 'authRegister',
    summary: 'Ask for an account',
    description:
      'Mails a link and a code to the address, or tells its owner that there is an account; the answer says neither. There is no account before the end.',
    session: 'none',
    cookie: 'flow',
    limited: true,
    takes: 'AuthRegistration',
    status: 202,
    done: 'A mail is on its way.',
    answer: 'AuthDone',
    errors: ['AuthCrossOrigin', 'AuthBodyTooLarge', 'AuthWeakPassword', 'AuthRateLimited', 'AuthPasswordUnavailable'],
  },
  resendRegistration: {
    id: 'authRegisterResend',
    summary: 'Ask for another mail',
    description: 'As asking for an account, with the password that was chosen in this browser. Earlier links are void.',
    session: 'none',
    cookie: 'flow',
    limited: true,
    takes: 'AuthRegistrationResend',
    status: 202,
    done: 'A mail is on its way.',
    answer: 'AuthDone',
    errors: ['AuthCrossOrigin', 'AuthBodyTooLarge', 'AuthInvalidInput', 'AuthRateLimited', 'AuthUnavailable'],
  },
  confirmRegistration: {
    id: 'authRegisterConfirm',
    summary: 'Open the account',
    description:
      'Proves the mailbox by the mailed link, or by the code in the browser that asked, opens the account and logs it in. From another browser, the link needs the password too.',
    session: 'none',
    cookie: 'set',
    takes: 'AuthRegistrationConfirmation',
    done: 'There is an account, and it is logged in.',
    answer: 'AuthLogin',
    errors: [
      'AuthInvalidLink',
      'AuthInvalidCredentials',
      'AuthCrossOrigin',
      'AuthBodyTooLarge',
      'AuthWeakPassword',
      'AuthRateLimited',
      'AuthPasswordUnavailable',
    ],
  },
  changeEmail: {
    id: 'authChangeEmail',
    summary: 'Ask for another e-mail address',
    description: 'Mails a link to the new address if it is free. The answer is the same either way.',
    session: 'needed',
    cookie: 'renewed',
    limited: true,
    takes: 'AuthEmailChange',
    status: 202,
    done: 'If the address is free, a mail is on its way to it.',
    answer: 'AuthDone',
    errors: [
      'AuthNotFresh',
      'AuthCrossOrigin',
      'AuthBodyTooLarge',
      'AuthInvalidInput',
      'AuthRateLimited',
      'AuthUnavailable',
    ],
  },
  confirmEmailChange: {
    id: 'authConfirmEmailChange',
    summary: 'Confirm a new e-mail address',
    description: 'The link that was mailed to the new address. It opens no session.',
    session: 'none',
    cookie: 'none',
    limited: true,
    takes: 'AuthLink',
    done: 'The address has been changed.',
    answer: 'AuthDone',
    errors: LINK_ERRORS,
  },
  revertEmailChange: {
    id: 'authRevertEmailChange',
    summary: 'Take a change of e-mail address back',
    description:
      'The link that was mailed to the old address. It ends everything that is logged in, and mails a link for a new password.',
    session: 'none',
    cookie: 'none',
    limited: true,
    takes: 'AuthLink',
    done: 'The account has its old address.',
    answer: 'AuthDone',
    errors: LINK_ERRORS.map((name) => (name === 'AuthUnavailable' ? 'AuthPasswordUnavailable' : name)),
  },
  deleteAccount: {
    id: 'authDeleteAccount',
    summary: 'Delete the account',
    description: 'Deletes the account of the user, with all that is logged in to it, and clears the cookie.',
    session: 'needed',
    cookie: 'set',
    clears: true,
    done: 'The account has been deleted.',
    answer: 'AuthDone',
    errors: ['AuthNotFresh', 'AuthCrossOrigin', 'AuthUnavailable'],
  },
  sendSecondFactor: {
    id: 'authSendSecondFactor',
    summary: 'Ask for what a second step needs',
    description: 'Such as a code by mail. The first step says which methods there are.',
    session: 'none',
    cookie: 'none',
    takes: 'AuthSecondFactorRequest',
    status: 202,
    done: 'If there was something to send, it is on its way.',
    answer: 'AuthDone',
    limited: true,
    errors: [
      'AuthSecondFactorRefused',
      'AuthCrossOrigin',
      'AuthBodyTooLarge',
      'AuthInvalidInput',
      'AuthRateLimited',
      'AuthUnavailable',
    ],
  },
  verifySecondFactor: {
    id: 'authVerifySecondFactor',
    summary: 'Complete a login by a second factor',
    description:
      'Opens the session, and hands it out as the first step asked for: in the cookie, or as a token. A wrong code leaves the login as it is.',
    session: 'none',
    cookie: 'renewed',
    takes: 'AuthSecondFactor',
    done: 'Logged in.',
    answer: 'AuthSecondFactorDone',
    errors: [
      'AuthSecondFactorRefused',
      'AuthCrossOrigin',
      'AuthBodyTooLarge',
      'AuthInvalidInput',
      'AuthRateLimited',
      'AuthUnavailable',
    ],
  },
  changePassword: {
    id: 'authChangePassword',
    summary: 'Change the password',
    description:
      'Proves the current password, ends every other session and token of the account, and replaces this session. A first password ends this session too. An account without a password gets its first one if its user has logged in lately.',
    session: 'needed',
    cookie: 'set',
    takes: 'AuthPasswordChange',
    done: 'The password has been changed.',
    answer: 'AuthReplacement',
    errors: [
      'AuthPasswordRefused',
      'AuthCrossOrigin',
      'AuthSessionNotFound',
      'AuthBodyTooLarge',
      'AuthWeakPassword',
      'AuthRateLimited',
      'AuthUnsupported',
      'AuthPasswordUnavailable',
    ],
  },
  stepUpState: {
    id: 'authStepUpState',
    summary: 'What the session has proved',
    description: 'How and when the user last proved who they are, and the methods by which they can prove more.',
    session: 'needed',
    cookie: 'renewed',
    done: 'The proofs of the session.',
    answer: 'AuthStepUpState',
    errors: ['AuthUnauthenticated', 'AuthUnavailable'],
  },
  stepUp: {
    id: 'authStepUp',
    summary: 'Confirm who is asking',
    description:
      'Proves again who the user is. The session counts as fresh and gets a new token; the old one is refused at once.',
    session: 'needed',
    cookie: 'set',
    takes: 'AuthStepUpProof',
    done: 'The session is fresh.',
    answer: 'AuthStepUp',
    errors: [
      'AuthProofRefused',
      'AuthCrossOrigin',
      'AuthBodyTooLarge',
      'AuthInvalidInput',
      'AuthRateLimited',
      'AuthLoginUnavailable',
    ],
  },
};

/** The bodies that routes take. */
const BODIES = {
  ...API_KEY_BODIES,
  AuthCredentials: (facts: RouteFacts) => loginBodySchema(facts),
  AuthForgottenPassword: () => ForgottenPasswordBody,
  AuthPasswordReset: () => PasswordResetBody,
  AuthSecondFactor: () => SecondFactorBody,
  AuthSecondFactorRequest: () => SecondFactorRequestBody,
  AuthPasswordChange: () => PasswordChangeBody,
  AuthRegistration: () => RegistrationBody,
  AuthRegistrationResend: () => RegistrationResendBody,
  AuthRegistrationConfirmation: () => RegistrationConfirmationBody,
  AuthStepUpProof: () => StepUpBody,
  AuthEmailChange: () => EmailChangeBody,
  AuthLink: () => LinkBody,
};
type BodyName = keyof typeof BODIES;

const SCHEMAS = {
  ...API_KEY_SCHEMAS,
  AuthUser: UserAnswer,
  AuthSession: SessionAnswer,
  AuthSessions: SessionListAnswer,
  AuthSessionOfKind: SessionOfKindAnswer,
  AuthSessionsOfKind: SessionOfKindListAnswer,
  AuthLogin: LoginAnswer,
  AuthToken: TokenAnswer,
  AuthSecondFactorDue: SecondFactorDueAnswer,
  AuthLoginStep: z.discriminatedUnion('status', [LoginAnswer, SecondFactorDueAnswer]),
  AuthTokenStep: z.discriminatedUnion('status', [TokenAnswer, SecondFactorDueAnswer]),
  AuthSecondFactorDone: SecondFactorDoneAnswer,
  AuthCurrent: CurrentAnswer,
  AuthDone: DoneAnswer,
  AuthReplacement: ReplacementAnswer,
  AuthStepUpState: StepUpStateAnswer,
  AuthStepUp: StepUpAnswer,
  AuthLoggedOutEverywhere: LogoutAllAnswer,
};
type SchemaName = keyof typeof SCHEMAS;

/** The errors of the routes, each with the codes that occur there. */
function errorsOf({ takesJwts }: RouteFacts) {
  const ofJwts = ['INVALID_TOKEN', 'TOKEN_REVOKED', 'ACCOUNT_INACTIVE', 'TOKENS_INVALIDATED'] as const;
  return {
    ...API_KEY_ERRORS,
    AuthInvalidCredentials: {
      ...errorAnswer('INVALID_CREDENTIALS'),
      description: 'Wrong password, unknown account or disabled account: all three look the same.',
    },
    AuthSecondFactorRefused: {
      ...errorAnswer('SECOND_FACTOR_REFUSED'),
      description: 'The login is over, the user does not have the method, or the code is wrong: all look the same.',
    },
    AuthInvalidLink: {
      ...errorAnswer('INVALID_LINK'),
      description:
        "The link or code is unknown, spent, expired, replaced by a newer one, or another browser's: all look the same.",
    },
    AuthUnauthenticated: {
      ...errorAnswer('UNAUTHENTICATED', ...(takesJwts ? ofJwts : [])),
      description: 'No live session came with the request.',
    },
    AuthProofRefused: {
      ...errorAnswer('INVALID_CREDENTIALS', 'UNAUTHENTICATED', ...(takesJwts ? ofJwts : [])),
      description: 'The password is wrong, or no live session came with the request.',
    },
    AuthNotFresh: {
      ...errorAnswer('STEP_UP_REQUIRED', 'UNAUTHENTICATED', ...(takesJwts ? ofJwts : [])),
      description: 'No live session came with the request, or its user has not proved lately who they are.',
    },
    AuthPasswordRefused: {
      ...errorAnswer('INVALID_CREDENTIALS', 'STEP_UP_REQUIRED', 'UNAUTHENTICATED', ...(takesJwts ? ofJwts : [])),
      description:
        'The password is wrong, no live session came with the request, or it is too old for a first password.',
    },
    AuthCrossOrigin: {
      ...errorAnswer('CROSS_ORIGIN_REQUEST'),
      description: 'A page of another origin sent the request.',
    },
    AuthSessionNotFound: {
      ...errorAnswer('SESSION_NOT_FOUND'),
      description: 'The user has no session with this handle.',
    },
    // Of the HTTP adapter, before a handler is called.
    AuthBodyTooLarge: {
      status: 413,
      schema: z.object({ statusCode: z.literal(413), message: z.string() }),
      description: 'The body is larger than the application takes.',
    },
    AuthInvalidInput: { ...errorAnswer('INVALID_INPUT'), description: 'The body has the wrong shape, or is no JSON.' },
    AuthWeakPassword: {
      ...errorAnswer('INVALID_INPUT', 'WEAK_PASSWORD'),
      description: 'The new password is too easy to guess, or the body has the wrong shape.',
    },
    AuthRateLimited: {
      ...errorAnswer('RATE_LIMITED'),
      description: 'Too many attempts of this address or account.',
    },
    AuthUnsupported: {
      ...errorAnswer('UNSUPPORTED'),
      description: 'The user directory of the application cannot end tokens that are stored nowhere.',
    },
    AuthUnavailable: {
      ...errorAnswer('SCHEMA_MISSING', 'STORE_UNAVAILABLE'),
      description: 'The storage did not answer. This is no logout: the cookie stays.',
    },
    AuthLoginUnavailable: {
      ...errorAnswer('SETUP_INCOMPLETE', 'HASHER_OVERLOADED', 'SCHEMA_MISSING', 'STORE_UNAVAILABLE'),
      description: 'No account exists yet, too many logins at once, or the storage did not answer.',
    },
    AuthPasswordUnavailable: {
      ...errorAnswer('HASHER_OVERLOADED', 'SCHEMA_MISSING', 'STORE_UNAVAILABLE'),
      description: 'Too many passwords at once, or the storage did not answer: nothing has changed.',
    },
  };
}
type ErrorName = keyof ReturnType<typeof errorsOf>;

function header(description: string, schema: object, isAlways = true): object {
  return { description, ...(isAlways && { required: true }), schema };
}
const TEXT = { type: 'string' };
const SECONDS = { type: 'integer', minimum: 0 };

/** How one of our names is spelled in a document: a prefix may keep it apart from those of the application. */
export type Naming = (name: string) => string;

export interface Names {
  readonly schema: Naming;
  readonly scheme: Naming;
  readonly operation: Naming;
}

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
    ...(takesApiKeys && { [named('authApiKey')]: API_KEY_SCHEME.authApiKey }),
  };
}
const COOKIE = 'authCookie';
const BEARER = 'authBearer';

/** The schemas of bodies and answers of these routes by their names, in the dialect of this version of OpenAPI. */
export function authSchemas(
  routes: readonly MountedRoute[],
  facts: RouteFacts,
  version: '3.0' | '3.1',
  named: Naming,
): Record<string, object> {
  const descriptions = routes.map(({ handler }) => DESCRIPTIONS[handler]);
  const used = new Set<SchemaName | ErrorName>(partsOf(facts));
  for (const one of descriptions) for (const name of [answerOf(one, facts), ...errorsIn(one, facts)]) used.add(name);
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
    ...(takesApiKeys ? (['AuthApiKey'] as const) : []),
    'AuthUser',
    'AuthSession',
    ...(listsKinds ? (['AuthSessionOfKind'] as const) : []),
    ...(asksSecondFactor ? (['AuthLogin', 'AuthToken', 'AuthSecondFactorDue'] as const) : []),
  ];
}

function answerOf({ answer }: Description, { listsKinds, asksSecondFactor }: RouteFacts): SchemaName {
  if (asksSecondFactor && answer === 'AuthLogin') return 'AuthLoginStep';
  if (asksSecondFactor && answer === 'AuthToken') return 'AuthTokenStep';
  return answer === 'AuthSessions' && listsKinds ? 'AuthSessionsOfKind' : answer;
}

const refTo = (name: string) => `#/components/schemas/${name}`;

/** The errors of a route that can occur with this configuration. */
function errorsIn({ errors }: Description, { cannotEndTokens }: RouteFacts): readonly ErrorName[] {
  return errors.filter((name) => name !== 'AuthUnsupported' || cannotEndTokens);
}

/** The operation of one route. */
export function authOperation(route: MountedRoute, facts: RouteFacts, names: Names): Operation {
  const described = DESCRIPTIONS[route.handler];
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
      [status]: {
        description: described.done,
        headers: headersOf(described, facts),
        content: json(answerOf(described, facts)),
      },
      ...(isSentToLogin(described, facts) && {
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
    ...(limited && limits(true)),
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
  'AuthProofRefused',
  'AuthPasswordRefused',
]);
const UNAUTHORIZED: ReadonlySet<ErrorName> = new Set([...WITHOUT_SESSION, 'AuthInvalidCredentials']);
/** RFC 9470: what is asked for stands beside the scheme. */
const ASKS_FOR_MORE: ReadonlySet<ErrorName> = new Set(['AuthNotFresh', 'AuthPasswordRefused']);
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

export const AUTH_TAG = { name: 'auth', description: 'Login, logout and the sessions of the user.' };

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
