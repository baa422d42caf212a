import { z } from 'zod';

// What browsers make of a passkey. Members that are not named here are neither refused nor taken: they are the browser's,
// and there will be more of them.

/** In the document: others may be sent. */
const OPEN = { additionalProperties: true };
const TEXT = 'must be what PublicKeyCredential.toJSON() has returned';
const bytes = (max: number) =>
  z
    .string(TEXT)
    .max(max, TEXT)
    .regex(/^[\w-]+$/, TEXT);
const id = bytes(1_364);
const clientDataJSON = bytes(8_192);

const credential = <Response extends z.ZodType>(response: Response) =>
  z.object({ id, rawId: id, type: z.literal('public-key', TEXT), response }, TEXT).meta(OPEN);

/** Of `navigator.credentials.create`. */
export const PasskeyRegistrationSchema = credential(
  z
    .object(
      {
        clientDataJSON,
        attestationObject: bytes(65_536),
        transports: z.array(z.string(TEXT).max(32, TEXT), TEXT).max(16, TEXT).optional(),
      },
      TEXT,
    )
    .meta(OPEN),
).describe('The new passkey: the result of `toJSON()` of what `navigator.credentials.create` has returned.');

/** Of `navigator.credentials.get`. */
export const PasskeyAssertionSchema = credential(
  z
    .object(
      {
        clientDataJSON,
        authenticatorData: bytes(8_192),
        signature: bytes(2_048),
        userHandle: z.union([bytes(86), z.literal('')], TEXT).nullish(),
      },
      TEXT,
    )
    .meta(OPEN),
).describe('The use of a passkey: the result of `toJSON()` of what `navigator.credentials.get` has returned.');
