import { z } from 'zod';
import { answerOf, type AuthErrorBody, type AuthErrorCode } from '../auth.errors.js';
import type { Session } from '../session/session.js';
import type { ListedSession } from '../session/session.service.js';
import type { AuthUser } from '../user/user.directory.js';
import type { Replacement } from './http-sessions.js';
import type { DueSecondFactor, StartedSession } from './started-session.js';

// What our routes answer: each schema beside the function that builds it. `nestjs-latchkey/openapi` publishes the
// schemas; the handlers have their types, so that the two cannot part.

const instant = (what: string) => z.iso.datetime().describe(what);

const aal = z.union([z.literal(1), z.literal(2)]).describe('The assurance of those proofs: one factor or two.');
const amr = z.array(z.string()).describe('The methods of those proofs, such as password; empty if they are not known.');
const authenticatedAt = instant('When the user last proved who they are.');

export const UserAnswer = z.object({
  id: z.string().describe('The id of the account.'),
  email: z.string().describe('The address or name that the account logs in with.'),
});
export type UserAnswer = z.infer<typeof UserAnswer>;

export function shown({ id, email }: AuthUser): UserAnswer {
  return { id, email };
}

export const SessionAnswer = z.object({
  handle: z.string().describe('The public name of the session: the one to end it by. It authenticates nobody.'),
  current: z.boolean().describe('Whether it is the session of this request.'),
  createdAt: instant('When it was opened.'),
  authenticatedAt,
  aal,
  amr,
  lastSeenAt: instant('When it was last written as used; coarser than every request.'),
  expiresAt: instant('When it ends, unless its use extends it.'),
  absoluteExpiresAt: instant('When it ends whatever happens.'),
  ip: z.string().nullable().describe('The address that it was opened from, if known.'),
  userAgent: z.string().nullable().describe('The User-Agent that it was opened with, if it was sent.'),
});
export type SessionAnswer = z.infer<typeof SessionAnswer>;

export function listed(session: ListedSession, current: Session): SessionAnswer {
  const { handle, createdAt, authenticatedAt, aal, amr, lastSeenAt, expiresAt, absoluteExpiresAt } = session;
  const { ip, userAgent } = session;
  return {
    handle,
    current: handle === current.handle,
    createdAt: iso(createdAt),
    authenticatedAt: iso(authenticatedAt),
    aal,
    amr: [...amr],
    lastSeenAt: iso(lastSeenAt),
    expiresAt: iso(expiresAt),
    absoluteExpiresAt: iso(absoluteExpiresAt),
    ip,
    userAgent,
  };
}

/** In a list of several kinds: see `jwt.registry`. */
export const SessionOfKindAnswer = SessionAnswer.extend({
  kind: z.enum(['database', 'signed-cookie', 'jwt']).describe('Where it is: a row, a signed cookie or a JWT.'),
});

export const LoginAnswer = z.object({
  status: z.literal('authenticated'),
  user: UserAnswer,
  expiresAt: instant('When the session ends, unless its use extends it.'),
});
export type LoginAnswer = z.infer<typeof LoginAnswer>;

/** In place of a `LoginAnswer`, if another factor is due. */
export const SecondFactorDueAnswer = z.object({
  status: z.literal('second_factor'),
  token: z.string().describe('For the second step. It opens nothing else, and is shown only this once.'),
  methods: z.array(z.string()).describe('The methods of which one is due.'),
  expiresAt: instant('Until when the login can be completed.'),
});
export type SecondFactorDueAnswer = z.infer<typeof SecondFactorDueAnswer>;

/** In place of a `LoginAnswer`, if the user must enrol a factor first. */
export const EnrolmentRequiredAnswer = z.object({
  status: z.literal('enrolment_required'),
  token: z.string().describe('For enrolling a factor. It opens nothing else, and is shown only this once.'),
  expiresAt: instant('Until when the login can be completed.'),
});
export type EnrolmentRequiredAnswer = z.infer<typeof EnrolmentRequiredAnswer>;

export function dueAnswer({ status, token, methods, expiresAt }: DueSecondFactor): PendingAnswer {
  if (status === 'enrolment_required') return { status, token, expiresAt: iso(expiresAt) };
  return { status: 'second_factor', token, methods: [...methods], expiresAt: iso(expiresAt) };
}

/** What a login answers that is not finished. */
export type PendingAnswer = SecondFactorDueAnswer | EnrolmentRequiredAnswer;

/** What a login by cookie answers, finished or not. */
export function loginAnswer(login: StartedSession | DueSecondFactor): LoginAnswer | PendingAnswer {
  if (login.status !== 'authenticated') return dueAnswer(login);
  return { status: 'authenticated', user: shown(login.user), expiresAt: iso(login.expiresAt) };
}

const returnTo = z.string().optional().describe('The path that was asked for with the link.');

/** Of a login by a mailed link. */
export const MagicLinkLoginAnswer = LoginAnswer.extend({ returnTo });
/** In place of that, if another factor is due, or must be enrolled. */
export const MagicLinkDueAnswer = SecondFactorDueAnswer.extend({ returnTo });
export const MagicLinkEnrolmentAnswer = EnrolmentRequiredAnswer.extend({ returnTo });
export type MagicLinkAnswer =
  z.infer<typeof MagicLinkLoginAnswer> | z.infer<typeof MagicLinkDueAnswer> | z.infer<typeof MagicLinkEnrolmentAnswer>;

export const TokenAnswer = LoginAnswer.extend({
  token: z.string().describe('The bearer token. It is shown only this once.'),
  tokenType: z.literal('Bearer'),
});
export type TokenAnswer = z.infer<typeof TokenAnswer>;

/** Of a flow that opens a session in place of the current one. */
export const ReplacementAnswer = z.object({
  user: UserAnswer,
  expiresAt: z.iso
    .datetime()
    .nullable()
    .describe(
      'When the new session ends, unless its use extends it; null if there is none: this one had been ended meanwhile, or it was a first password.',
    ),
  token: z
    .string()
    .optional()
    .describe('The new bearer token, if one was sent. It is shown only this once; the old one is refused.'),
});
export type ReplacementAnswer = z.infer<typeof ReplacementAnswer>;

export function replacementAnswer({ user, expiresAt, token }: Replacement): ReplacementAnswer {
  return { user: shown(user), expiresAt: expiresAt === null ? null : iso(expiresAt), ...(token && { token }) };
}

export const TwoFactorAnswer = z.object({
  methods: z.array(z.string()).describe('The methods of the second factors that the user has.'),
  totpDisabled: z.boolean().describe('Whether too many wrong codes have disabled the authenticator app.'),
  backupCodesLeft: z.int().min(0).describe('How many backup codes have not been used.'),
  trustedBrowsers: z.int().min(0).describe('How many browsers the second step is left out in.'),
});
export type TwoFactorAnswer = z.infer<typeof TwoFactorAnswer>;

export const TotpSetupAnswer = z.object({
  secret: z.string().describe('The secret in base32, for typing. It is shown only this once.'),
  uri: z.string().describe('The same as an `otpauth:` address, for a link on a phone.'),
  qr: z.string().describe('The same as the SVG of a QR code.'),
});
export type TotpSetupAnswer = z.infer<typeof TotpSetupAnswer>;

export const ChangedFactorsAnswer = z.object({
  status: z.literal('authenticated'),
  user: UserAnswer,
  expiresAt: instant('When the session ends, unless its use extends it.'),
  backupCodes: z.array(z.string()).describe('The new backup codes, shown only this once; empty if none were made.'),
  token: z
    .string()
    .optional()
    .describe(
      'The new bearer token, if one was sent or asked for. It is shown only this once; the old one is refused.',
    ),
  tokenType: z.literal('Bearer').optional(),
});
export type ChangedFactorsAnswer = z.infer<typeof ChangedFactorsAnswer>;

export function changedFactorsAnswer(
  { user, expiresAt, token }: { user: AuthUser; expiresAt: number; token?: string | undefined },
  backupCodes: readonly string[],
): ChangedFactorsAnswer {
  const answer = { user: shown(user), expiresAt: iso(expiresAt), backupCodes: [...backupCodes] };
  return { status: 'authenticated', ...answer, ...(token && { token, tokenType: 'Bearer' }) };
}

export const StepUpStateAnswer = z.object({
  aal,
  amr,
  authenticatedAt,
  methods: z.array(z.string()).describe('The methods by which the user can prove more.'),
});
export type StepUpStateAnswer = z.infer<typeof StepUpStateAnswer>;

export const StepUpAnswer = z.object({
  aal,
  amr,
  authenticatedAt,
  expiresAt: instant('When the session ends, unless its use extends it.'),
  token: z
    .string()
    .optional()
    .describe('The new bearer token, if one was sent. It is shown only this once; the old one is refused.'),
});
export type StepUpAnswer = z.infer<typeof StepUpAnswer>;

/** Of a second step: the token is there if the first step asked for one. */
export const SecondFactorDoneAnswer = LoginAnswer.extend({
  token: z
    .string()
    .optional()
    .describe('The bearer token, if the first step asked for one. It is shown only this once.'),
  tokenType: z.literal('Bearer').optional(),
});

export const CurrentAnswer = z.object({ valid: z.literal(true), user: UserAnswer, session: SessionAnswer });
export type CurrentAnswer = z.infer<typeof CurrentAnswer>;

export const SessionListAnswer = z.array(SessionAnswer);
export const SessionOfKindListAnswer = z.array(SessionOfKindAnswer);
export type SessionListAnswer = z.infer<typeof SessionListAnswer> | z.infer<typeof SessionOfKindListAnswer>;

export const DoneAnswer = z.object({ message: z.string().describe('For the developer; it may change.') });
export type DoneAnswer = z.infer<typeof DoneAnswer>;

/** Of a change after which the session may go on with another token: see `HttpSessions.update`. */
export const newToken = {
  token: z
    .string()
    .optional()
    .describe('The new bearer token, if one was sent and is refused now. It is shown only this once.'),
  tokenType: z.literal('Bearer').optional(),
};

export const ChangedAnswer = DoneAnswer.extend(newToken);
export type ChangedAnswer = z.infer<typeof ChangedAnswer>;

export const newTokenAnswer = ({ token }: { readonly token?: string }) =>
  token === undefined ? {} : { token, tokenType: 'Bearer' as const };

export const LogoutAllAnswer = DoneAnswer.extend({
  ended: z.int().min(0).describe('How many stored sessions have ended.'),
});
export type LogoutAllAnswer = z.infer<typeof LogoutAllAnswer>;

export const ApiKeyAnswer = z.object({
  id: z.string().describe('The public name of the key: the one to revoke it by. It authenticates nobody.'),
  name: z.string().describe('What its owner calls it.'),
  prefix: z.string().describe('Its first characters.'),
  scopes: z.array(z.string()).describe('What it may do now.'),
  createdAt: instant('When it was made.'),
  expiresAt: instant('From when on it is refused.'),
  lastUsedAt: z.iso.datetime().nullable().describe('When it was last used, as coarse as a minute; null if never.'),
});
export type ApiKeyAnswer = z.infer<typeof ApiKeyAnswer>;

export const ApiKeyListAnswer = z.array(ApiKeyAnswer);
export type ApiKeyListAnswer = z.infer<typeof ApiKeyListAnswer>;

export const NewApiKeyAnswer = ApiKeyAnswer.extend({
  key: z.string().describe('The key. It is shown only this once.'),
});
export type NewApiKeyAnswer = z.infer<typeof NewApiKeyAnswer>;

export const iso = (instant: number): string => new Date(instant).toISOString();

/** With `STEP_UP_REQUIRED`. */
const StepUpFacts = {
  required: z
    .object({
      aal: z.int().optional().describe('The level of assurance.'),
      maxAge: z.int().optional().describe('How many seconds ago the last proof may be.'),
      amr: z.array(z.string()).optional().describe('Methods, one of which is needed.'),
    })
    .optional()
    .describe('What the session would have to prove, with STEP_UP_REQUIRED.'),
  methods: z.array(z.string()).optional().describe('The methods that the user has for it, with STEP_UP_REQUIRED.'),
};

/** The body of an error with one of these codes, which share a status: `AuthErrorBody` as a schema. */
export function errorAnswer(code: AuthErrorCode, ...others: AuthErrorCode[]) {
  const { status } = answerOf(code);
  const body = z.object({
    statusCode: z.literal(status),
    code: z.enum([code, ...others]).describe('What happened. A code is never renamed.'),
    message: z.string().describe('For the developer; it may change.'),
  }) satisfies z.ZodType<AuthErrorBody>;
  const expected = z.record(z.string(), z.string()).describe('What is expected of each wrong field.');
  if (code === 'INVALID_INPUT' && !others.includes('WEAK_PASSWORD'))
    return { status, schema: body.extend({ fields: expected }) };
  const rules = z.array(z.string()).optional().describe('Which rules a weak password breaks, such as `too_short`.');
  if (others.includes('WEAK_PASSWORD')) return { status, schema: body.extend({ fields: expected, rules }) };
  return { status, schema: [code, ...others].includes('STEP_UP_REQUIRED') ? body.extend(StepUpFacts) : body };
}
