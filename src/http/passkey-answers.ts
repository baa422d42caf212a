import { z } from 'zod';
import type { Passkey } from '../passkey/passkey.service.js';
import { iso, newToken } from './answers.js';

// What the routes of `flows.passkeys` answer: see answers.ts.

const instant = (what: string) => z.iso.datetime().describe(what);
const descriptors = z.array(
  z.object({ type: z.literal('public-key'), id: z.string(), transports: z.array(z.string()) }),
);
const challenge = z.string().describe('43 characters, which can be used once.');
const timeout = z.int().describe('In milliseconds.');

export const PasskeyAnswer = z.object({
  id: z
    .string()
    .describe('The public name of the passkey: the one to rename or remove it by. It authenticates nobody.'),
  name: z.string().describe('What its user calls it.'),
  createdAt: instant('When it was added.'),
  lastUsedAt: instant('When it was last used.').nullable(),
  cloneSuspectedAt: instant('When a use of it last suggested that there is a copy of it.').nullable(),
  aaguid: z.string().nullable().describe('The model of its authenticator, if known.'),
  transports: z.array(z.string()).describe('How a browser reaches it, such as internal or usb.'),
  multiDevice: z.boolean().describe('Whether it can be synced to other devices.'),
  backedUp: z.boolean().describe('Whether it has been synced.'),
});
export type PasskeyAnswer = z.infer<typeof PasskeyAnswer>;

export function passkeyAnswer(passkey: Passkey): PasskeyAnswer {
  const { createdAt, lastUsedAt, cloneSuspectedAt, transports } = passkey;
  return {
    ...passkey,
    createdAt: iso(createdAt),
    lastUsedAt: lastUsedAt === null ? null : iso(lastUsedAt),
    cloneSuspectedAt: cloneSuspectedAt === null ? null : iso(cloneSuspectedAt),
    transports: [...transports],
  };
}

export const AddedPasskeyAnswer = PasskeyAnswer.extend(newToken);
export type AddedPasskeyAnswer = z.infer<typeof AddedPasskeyAnswer>;

export const PasskeyListAnswer = z.array(PasskeyAnswer);

/** `PasskeyCreationOptions` as a schema. */
export const PasskeyCreationAnswer = z.object({
  rp: z.object({ name: z.string(), id: z.string() }),
  user: z.object({ id: z.string(), name: z.string(), displayName: z.string() }),
  challenge,
  pubKeyCredParams: z.array(z.object({ type: z.literal('public-key'), alg: z.int() })),
  timeout,
  excludeCredentials: descriptors,
  authenticatorSelection: z.object({
    residentKey: z.literal('required'),
    requireResidentKey: z.literal(true),
    userVerification: z.literal('preferred'),
  }),
  attestation: z.literal('none'),
});

/** `PasskeyRequestOptions` as a schema. */
export const PasskeyRequestAnswer = z.object({
  challenge,
  timeout,
  rpId: z.string(),
  allowCredentials: descriptors.optional().describe('The passkeys of the user; missing before a first factor.'),
  userVerification: z.enum(['required', 'preferred']),
});
