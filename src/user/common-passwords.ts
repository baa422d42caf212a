import { createHash } from 'node:crypto';
import { COMMON_PASSWORD_DIGESTS } from './common-password-digests.js';

let digests: ReadonlySet<number> | undefined;

/**
 * Whether this is one of the most common passwords. Give it the spelling of `foldedPassword`. Of a million others about
 * one is taken for a common one.
 */
export function isCommonPassword(folded: string): boolean {
  digests ??= read();
  return digests.has(createHash('sha256').update(folded).digest().readUInt32BE());
}

/** How many there are. */
export const commonPasswordCount = (): number => (digests ??= read()).size;

function read(): ReadonlySet<number> {
  const bytes = Buffer.from(COMMON_PASSWORD_DIGESTS, 'base64');
  const found = new Set<number>();
  let digest = 0;
  for (let i = 0; i < bytes.length; i += 3) found.add((digest += bytes.readUIntBE(i, 3)));
  return found;
}
